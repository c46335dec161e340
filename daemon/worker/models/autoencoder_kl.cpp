#include "daemon/worker/models/autoencoder_kl.h"

#include <algorithm>

#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

template <class Run>
at::Tensor one_by_one(const at::Tensor& batch, Run run) {
  if (batch.size(0) == 1) return run(batch);
  std::vector<at::Tensor> results;
  for (std::int64_t i = 0; i < batch.size(0); ++i) results.push_back(run(batch.narrow(0, i, 1)));
  return at::cat(results, 0);
}

}  // namespace

Result<std::shared_ptr<const AutoencoderKl>> AutoencoderKl::build(
    std::shared_ptr<const WeightStore> weights, at::ScalarType compute, at::Device device) {
  LUNA_ASSIGN_OR_RETURN(AutoencoderConfig config,
                        AutoencoderConfig::detect(directory_of(*weights)));
  const WeightScope scope(std::move(weights));
  auto model = std::make_shared<const AutoencoderKl>(std::move(config), scope, compute, device);
  LUNA_RETURN_IF_ERROR(scope.status().with_context("AutoencoderKL"));
  return model;
}

AutoencoderKl::AutoencoderKl(AutoencoderConfig config, const WeightScope& scope,
                             at::ScalarType compute, at::Device device)
    : config_(std::move(config)),
      placement_(compute, device),
      encoder_(scope.child("encoder"), config_, placement_),
      decoder_(scope.child("decoder"), config_, placement_) {
  if (config_.has_quant_conv)
    quant_.emplace(scope.child("quant_conv"),
                   Conv2dShape{.in = 2 * config_.z_channels,
                               .out = 2 * config_.latent_channels,
                               .kernel = 1,
                               .padding = 0},
                   placement_);
  if (config_.has_post_quant_conv)
    post_quant_.emplace(
        scope.child("post_quant_conv"),
        Conv2dShape{
            .in = config_.latent_channels, .out = config_.z_channels, .kernel = 1, .padding = 0},
        placement_);
}

at::Tensor AutoencoderKl::encode_one(const at::Tensor& pixels) const {
  at::Tensor moments = encoder_.forward(pixels.to(placement_.device(), placement_.compute()));
  if (quant_) moments = quant_->forward(moments);
  return moments.narrow(1, 0, config_.latent_channels).to(at::kFloat).contiguous();
}

at::Tensor AutoencoderKl::decode_one(const at::Tensor& latent) const {
  at::Tensor z = latent.to(placement_.device(), placement_.compute());
  if (post_quant_) z = post_quant_->forward(z);
  return decoder_.forward(z).to(at::kFloat).contiguous();
}

at::Tensor AutoencoderKl::encode(const at::Tensor& pixels) const {
  return one_by_one(pixels, [this](const at::Tensor& one) { return encode_one(one); });
}

at::Tensor AutoencoderKl::decode(const at::Tensor& latent) const {
  return one_by_one(latent, [this](const at::Tensor& one) { return decode_one(one); });
}

std::uint64_t AutoencoderKl::activation_bytes(const std::vector<std::int64_t>& widths, int height,
                                              int width) const {
  std::int64_t largest = 0;
  for (std::size_t level = 0; level < widths.size(); ++level) {
    const std::int64_t scale = std::int64_t{1} << level;
    const std::int64_t cells = ((height + scale - 1) / scale) * ((width + scale - 1) / scale);
    // What a level may receive: the next one's width doubled in extent, or its own.
    const std::int64_t widest =
        std::max(widths[level], level + 1 < widths.size() ? widths[level + 1] : widths[level]);
    largest = std::max(largest, 4 * widest * cells);
  }
  // The attention in the middle: its picture, tokens, three projections, the result and its
  // projection.
  const std::int64_t factor = config_.factor();
  largest = std::max(largest, 8 * widths.back() * (height / factor + 1) * (width / factor + 1));
  const std::uint64_t element = at::elementSize(placement_.compute());
  const std::uint64_t pictures = std::uint64_t{3} * 4 * 3 * static_cast<std::uint64_t>(height) *
                                 static_cast<std::uint64_t>(width);
  const std::uint64_t scratch = std::uint64_t{device().is_cuda() ? 256u : 16u} << 20;
  return static_cast<std::uint64_t>(largest) * element + pictures + scratch;
}

std::uint64_t AutoencoderKl::encode_activation_bytes(int height, int width) const {
  return activation_bytes(config_.encoder_widths, height, width);
}

std::uint64_t AutoencoderKl::decode_activation_bytes(int height, int width) const {
  return activation_bytes(config_.decoder_widths, height, width);
}

}  // namespace luna::worker
