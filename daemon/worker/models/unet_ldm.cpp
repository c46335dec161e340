#include "daemon/worker/models/unet_ldm.h"

#include <algorithm>

#include "daemon/worker/models/model_shapes.h"
#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/ops/timestep_embedding.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kTypicalLatent = 64;

std::int64_t typical_extent(int level) {
  return std::max<std::int64_t>(1, kTypicalLatent >> std::min(level, 6));
}

constexpr std::int64_t kRefinerSizes = 5;

// A grey picture as a latent in model space, which an inpainting model is shown when it is given no
// other (comfy/model_base.py: BaseModel.set_inpaint); the same for every family.
const std::vector<float> kBlankLatent = {0.8223F, -0.6876F, 0.6364F, 0.1380F};

// comfy/latent_formats.py: SDXL_Playground_2_5
constexpr double kNormalizedScale = 0.5;
const std::vector<float> kLatentMean = {-1.6574F, 1.886F, -1.383F, 2.5155F};
const std::vector<float> kLatentStd = {8.4927F, 5.9022F, 6.5498F, 5.2299F};

DenoiserTraits traits_of(const UNetConfig& config, const UNetVariant& variant) {
  DenoiserTraits traits;
  traits.prediction = variant.prediction;
  traits.zero_terminal_snr = variant.zero_terminal_snr;
  traits.sigmas = variant.sigmas;
  const bool sdxl = config.adm_channels > 0;
  traits.family = family_of(config);
  traits.vector_width = static_cast<int>(config.adm_channels);
  if (sdxl) {
    traits.vector =
        traits.family == "sdxl" ? VectorConditioning::kSdxl : VectorConditioning::kSdxlRefiner;
  }
  traits.latent_scale = sdxl ? 0.13025 : 0.18215;
  if (variant.normalized_latents) {
    traits.latent_scale = kNormalizedScale;
    traits.latent_mean = kLatentMean;
    traits.latent_std = kLatentStd;
  }
  if (config.inpaints()) traits.blank_latent = kBlankLatent;
  traits.latent_channels = static_cast<int>(config.out_channels);
  traits.context_width = static_cast<int>(config.context_width);
  return traits;
}

}  // namespace

std::string family_of(const UNetConfig& config) {
  if (config.adm_channels == 0) return "sd1";
  // The refiner has one text encoder, whose width is that of the context and of the pooled vector.
  const bool refiner = config.adm_channels == config.context_width + kRefinerSizes * kSizeWidth;
  return refiner ? "sdxl_refiner" : "sdxl";
}

Result<std::shared_ptr<const LdmUNet>> LdmUNet::build(std::shared_ptr<const WeightStore> weights,
                                                      at::ScalarType compute, at::Device device) {
  LUNA_ASSIGN_OR_RETURN(UNetConfig config, UNetConfig::detect(directory_of(*weights)));
  LUNA_ASSIGN_OR_RETURN(const UNetVariant variant, UNetVariant::read(*weights, family_of(config)));
  const WeightScope scope(std::move(weights));
  auto model = std::make_shared<const LdmUNet>(std::move(config), variant, scope, compute, device);
  LUNA_RETURN_IF_ERROR(scope.status().with_context("UNet"));
  return model;
}

LdmUNet::LdmUNet(UNetConfig config, const UNetVariant& variant, const WeightScope& scope,
                 at::ScalarType compute, at::Device device)
    : config_(std::move(config)),
      traits_(traits_of(config_, variant)),
      placement_(compute, device),
      time_in_(scope.child("time_embed").child(std::size_t{0}),
               {.in = config_.model_channels, .out = config_.embedding_width, .typical_rows = 8},
               placement_),
      time_out_(scope.child("time_embed").child(2),
                {.in = config_.embedding_width, .out = config_.embedding_width, .typical_rows = 8},
                placement_),
      conv_in_(scope.child("input_blocks").child(std::size_t{0}).child(std::size_t{0}),
               {.in = config_.in_channels,
                .out = config_.model_channels,
                .typical_extent = kTypicalLatent},
               placement_),
      norm_out_(scope.child("out").child(std::size_t{0}), config_.output.back().out, 32, 1e-5,
                placement_),
      conv_out_(scope.child("out").child(2),
                {.in = config_.output.back().out,
                 .out = config_.out_channels,
                 .typical_extent = kTypicalLatent},
                placement_) {
  if (config_.adm_channels > 0) {
    const WeightScope label = scope.child("label_emb").child(std::size_t{0});
    label_in_.emplace(label.child(std::size_t{0}),
                      LinearShape{.in = config_.adm_channels, .out = config_.embedding_width},
                      placement_);
    label_out_.emplace(label.child(2),
                       LinearShape{.in = config_.embedding_width, .out = config_.embedding_width},
                       placement_);
  }
  for (std::size_t i = 0; i < config_.input.size(); ++i)
    input_.push_back(input_block(scope.child("input_blocks").child(i + 1), config_.input[i]));
  middle_ = middle_block(scope.child("middle_block"));
  for (std::size_t i = 0; i < config_.output.size(); ++i)
    output_.push_back(output_block(scope.child("output_blocks").child(i), config_.output[i]));
  placement_.name_running(*scope.store());
}

UNetResBlock LdmUNet::res_block(const WeightScope& scope, const UNetConfig::Stage& stage) {
  return UNetResBlock(scope,
                      {.in = stage.in,
                       .out = stage.out,
                       .embedding = config_.embedding_width,
                       .typical_extent = typical_extent(stage.level)},
                      placement_);
}

SpatialTransformer LdmUNet::transformer(const WeightScope& scope, const UNetConfig::Stage& stage) {
  return SpatialTransformer(
      scope,
      {.width = stage.out, .context = config_.context_width, .heads = config_.heads_at(stage.out)},
      stage.transformer_depth, placement_);
}

LdmUNet::Block LdmUNet::input_block(const WeightScope& scope, const UNetConfig::Stage& stage) {
  Block block;
  if (stage.resamples) {
    block.down.emplace(scope.child(std::size_t{0}), stage.in, Downsample::Padding::kSymmetric,
                       typical_extent(stage.level), placement_);
    return block;
  }
  block.first.emplace(res_block(scope.child(std::size_t{0}), stage));
  if (stage.transformer_depth > 0) block.transformer.emplace(transformer(scope.child(1), stage));
  return block;
}

LdmUNet::Block LdmUNet::middle_block(const WeightScope& scope) {
  Block block;
  if (config_.middle == UNetConfig::Middle::kNone) return block;
  block.first.emplace(res_block(scope.child(std::size_t{0}), config_.middle_stage));
  if (config_.middle == UNetConfig::Middle::kResBlock) return block;
  block.transformer.emplace(transformer(scope.child(1), config_.middle_stage));
  block.second.emplace(res_block(scope.child(2), config_.middle_stage));
  return block;
}

LdmUNet::Block LdmUNet::output_block(const WeightScope& scope, const UNetConfig::Stage& stage) {
  Block block;
  std::size_t next = 0;
  block.first.emplace(res_block(scope.child(next++), stage));
  if (stage.transformer_depth > 0)
    block.transformer.emplace(transformer(scope.child(next++), stage));
  if (stage.resamples)
    block.up.emplace(scope.child(next), stage.out, typical_extent(stage.level - 1), placement_);
  return block;
}

at::Tensor LdmUNet::Block::run(at::Tensor x, const at::Tensor& embedding, const at::Tensor& context,
                               const AdapterRows& adapters) const {
  if (first) x = first->forward(x, embedding, adapters);
  if (transformer) x = transformer->forward(x, context, adapters);
  if (second) x = second->forward(x, embedding, adapters);
  if (down) x = down->forward(x, adapters);
  return x;
}

at::Tensor LdmUNet::embed(const at::Tensor& timestep,
                          const std::map<std::string, at::Tensor>& extras,
                          const AdapterRows& adapters) const {
  const at::Tensor waves = ops::timestep_embedding(timestep, config_.model_channels);
  at::Tensor hidden = time_in_.forward(waves.to(compute_type()), adapters);
  at::Tensor embedding = time_out_.forward(at::silu_(hidden), adapters);
  if (label_in_) {
    at::Tensor label = label_in_->forward(extras.at("y").to(compute_type()), adapters);
    embedding.add_(label_out_->forward(at::silu_(label), adapters));
  }
  return at::silu_(embedding);
}

at::Tensor LdmUNet::forward(const at::Tensor& x, const at::Tensor& timestep,
                            const at::Tensor& context,
                            const std::map<std::string, at::Tensor>& extras,
                            const AdapterRows& adapters) const {
  const at::Tensor embedding = embed(timestep, extras, adapters);
  const auto concat = extras.find("c_concat");
  const at::Tensor input =
      concat == extras.end() ? x : at::cat({x, concat->second.to(compute_type())}, 1);
  at::Tensor h = conv_in_.forward(input, adapters);
  std::vector<at::Tensor> skips = {h};
  for (const Block& block : input_) {
    h = block.run(std::move(h), embedding, context, adapters);
    skips.push_back(h);
  }
  h = middle_.run(std::move(h), embedding, context, adapters);
  for (const Block& block : output_) {
    h = at::cat({h, skips.back()}, 1);
    skips.pop_back();
    h = block.run(std::move(h), embedding, context, adapters);
    if (block.up) h = block.up->forward(h, skips.back().size(2), skips.back().size(3), adapters);
  }
  return conv_out_.forward(norm_out_.forward_silu(h), adapters).contiguous();
}

std::uint64_t LdmUNet::activation_bytes(int rows, int height, int width, int tokens) const {
  const auto cells = [&](int level) {
    const std::int64_t scale = std::int64_t{1} << level;
    return ((height + scale - 1) / scale) * ((width + scale - 1) / scale);
  };
  std::int64_t skips = config_.model_channels * cells(0);
  for (const UNetConfig::Stage& stage : config_.input)
    skips += stage.out * cells(stage.level + (stage.resamples ? 1 : 0));
  // A residual block holds its input, the normed input and up to three tensors of its output's
  // width; a transformer block at most its picture, tokens, normed tokens and the 8 + 4 widths of
  // the feed-forward part; an enlargement the output of the block, four times that, and the result.
  std::int64_t largest = 0;
  const auto note = [&](const UNetConfig::Stage& stage, bool doubles) {
    largest = std::max(largest, (2 * stage.in + 4 * stage.out) * cells(stage.level));
    if (stage.transformer_depth > 0)
      largest = std::max(largest, 17 * stage.out * cells(stage.level) + 2 * stage.out * tokens);
    if (doubles && stage.level > 0)
      largest = std::max(
          largest, 2 * stage.out * cells(stage.level) + 3 * stage.out * cells(stage.level - 1));
  };
  for (const UNetConfig::Stage& stage : config_.input) note(stage, false);
  note(config_.middle_stage, false);
  for (const UNetConfig::Stage& stage : config_.output) note(stage, stage.resamples);
  const std::uint64_t element = at::elementSize(compute_type());
  const std::uint64_t scratch = std::uint64_t{device().is_cuda() ? 256u : 16u} << 20;
  return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(skips + largest) * element +
         scratch;
}

}  // namespace luna::worker
