#include "daemon/worker/models/autoencoder_parts.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kPictureChannels = 3;
constexpr std::int64_t kTypicalPicture = 256;
constexpr double kEps = 1e-6;

std::int64_t typical_extent(std::size_t level) { return kTypicalPicture >> level; }

}  // namespace

AutoencoderEncoder::AutoencoderEncoder(const WeightScope& scope, const AutoencoderConfig& config,
                                       Placement& placement)
    : conv_in_(
          scope.child("conv_in"),
          {.in = kPictureChannels, .out = config.encoder_in, .typical_extent = typical_extent(0)},
          placement),
      middle_(scope.child("mid"), config.encoder_widths.back(), config.groups, placement),
      norm_out_(scope.child("norm_out"), config.encoder_widths.back(), config.groups, kEps,
                placement),
      conv_out_(scope.child("conv_out"),
                {.in = config.encoder_widths.back(), .out = 2 * config.z_channels}, placement) {
  std::int64_t width = config.encoder_in;
  for (std::size_t i = 0; i < config.encoder_widths.size(); ++i) {
    const WeightScope level = scope.child("down").child(i);
    Level built;
    for (std::int64_t block = 0; block < config.encoder_blocks; ++block) {
      built.blocks.emplace_back(level.child("block").child(static_cast<std::size_t>(block)),
                                VaeBlockShape{.in = width,
                                              .out = config.encoder_widths[i],
                                              .groups = config.groups,
                                              .typical_extent = typical_extent(i)},
                                placement);
      width = config.encoder_widths[i];
    }
    if (i + 1 < config.encoder_widths.size())
      built.down.emplace(level.child("downsample"), width, Downsample::Padding::kRightAndBelow,
                         typical_extent(i), placement);
    levels_.push_back(std::move(built));
  }
}

at::Tensor AutoencoderEncoder::forward(const at::Tensor& pixels) const {
  at::Tensor h = conv_in_.forward(pixels);
  for (const Level& level : levels_) {
    for (const VaeResBlock& block : level.blocks) h = block.forward(h);
    if (level.down) h = level.down->forward(h);
  }
  h = middle_.forward(h);
  h = norm_out_.forward_silu(h);
  return conv_out_.forward(h);
}

AutoencoderDecoder::AutoencoderDecoder(const WeightScope& scope, const AutoencoderConfig& config,
                                       Placement& placement)
    : conv_in_(scope.child("conv_in"),
               {.in = config.z_channels, .out = config.decoder_widths.back()}, placement),
      middle_(scope.child("mid"), config.decoder_widths.back(), config.groups, placement),
      norm_out_(scope.child("norm_out"), config.decoder_widths.front(), config.groups, kEps,
                placement),
      conv_out_(scope.child("conv_out"),
                {.in = config.decoder_widths.front(),
                 .out = kPictureChannels,
                 .typical_extent = typical_extent(0)},
                placement) {
  std::int64_t width = config.decoder_widths.back();
  for (std::size_t i = config.decoder_widths.size(); i-- > 0;) {
    const WeightScope level = scope.child("up").child(i);
    Level built;
    for (std::int64_t block = 0; block < config.decoder_blocks; ++block) {
      built.blocks.emplace_back(level.child("block").child(static_cast<std::size_t>(block)),
                                VaeBlockShape{.in = width,
                                              .out = config.decoder_widths[i],
                                              .groups = config.groups,
                                              .typical_extent = typical_extent(i)},
                                placement);
      width = config.decoder_widths[i];
    }
    if (i > 0) built.up.emplace(level.child("upsample"), width, typical_extent(i - 1), placement);
    levels_.push_back(std::move(built));
  }
}

at::Tensor AutoencoderDecoder::forward(const at::Tensor& z) const {
  at::Tensor h = middle_.forward(conv_in_.forward(z));
  for (const Level& level : levels_) {
    for (const VaeResBlock& block : level.blocks) h = block.forward(h);
    if (level.up) h = level.up->forward(h, 2 * h.size(2), 2 * h.size(3));
  }
  h = norm_out_.forward_silu(h);
  return conv_out_.forward(h);
}

}  // namespace luna::worker
