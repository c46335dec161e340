#include "daemon/worker/models/autoencoder_config.h"

#include <fmt/ranges.h>

#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMostLevels = 8;

std::vector<std::int64_t> widths_of(const TensorDirectory& component, const std::string& stem) {
  std::vector<std::int64_t> widths;
  while (widths.size() < kMostLevels) {
    const std::int64_t width =
        extent(component, stem + std::to_string(widths.size()) + ".block.0.conv1.weight", 0);
    if (width == 0) break;
    widths.push_back(width);
  }
  return widths;
}

}  // namespace

Result<AutoencoderConfig> AutoencoderConfig::detect(const TensorDirectory& component) {
  AutoencoderConfig config;
  config.encoder_in = extent(component, "encoder.conv_in.weight", 0);
  config.encoder_widths = widths_of(component, "encoder.down.");
  config.decoder_widths = widths_of(component, "decoder.up.");
  config.encoder_blocks = count_indexed(component, "encoder.down.0.block.", ".conv1.weight");
  config.decoder_blocks = count_indexed(component, "decoder.up.0.block.", ".conv1.weight");
  config.z_channels = extent(component, "decoder.conv_in.weight", 1);
  config.has_quant_conv = component.has("quant_conv.weight");
  config.has_post_quant_conv = component.has("post_quant_conv.weight");
  config.latent_channels = config.has_post_quant_conv
                               ? extent(component, "post_quant_conv.weight", 1)
                               : config.z_channels;
  if (config.encoder_in < 1 || config.z_channels < 1 || config.latent_channels < 1 ||
      config.decoder_widths.empty() || config.encoder_widths.size() != config.decoder_widths.size())
    return error(
        StatusCode::kInvalidArgument,
        "not an AutoencoderKL: expected 'encoder.conv_in.weight', 'decoder.conv_in.weight' "
        "and as many encoder as decoder levels; found {} input channels, {} latent "
        "channels, {} encoder and {} decoder levels",
        config.encoder_in, config.latent_channels, config.encoder_widths.size(),
        config.decoder_widths.size());

  LUNA_ASSIGN_OR_RETURN(const auto groups, metadata_number(component, "luna.vae.groups"));
  config.groups = groups.value_or(32);
  for (const auto& widths : {config.encoder_widths, config.decoder_widths, {config.encoder_in}})
    for (const std::int64_t width : widths)
      if (width % config.groups != 0)
        return error(StatusCode::kInvalidArgument,
                     "AutoencoderKL widths should be multiples of {} norm groups, found {}",
                     config.groups, width);
  return config;
}

std::string AutoencoderConfig::describe() const {
  return fmt::format("{} latent channels, factor {}, widths {}, blocks {}+{}", latent_channels,
                     factor(), fmt::join(decoder_widths, ","), encoder_blocks, decoder_blocks);
}

}  // namespace luna::worker
