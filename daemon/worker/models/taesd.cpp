#include "daemon/worker/models/taesd.h"

#include "daemon/worker/models/model_shapes.h"
#include "daemon/worker/ops/cpu_packing.h"

namespace luna::worker {
namespace {

constexpr double kLatentMagnitude = 3;
constexpr std::int64_t kTypicalCells = 64, kTypicalPixels = kTypicalCells * TaesdDecoder::kFactor;
constexpr std::int64_t kColours = 3;

}  // namespace

Result<std::shared_ptr<const TaesdDecoder>> TaesdDecoder::build(
    std::shared_ptr<const WeightStore> weights, at::ScalarType compute, at::Device device) {
  const TensorDirectory names = directory_of(*weights);
  const WeightScope scope(std::move(weights));
  auto model = std::make_shared<const TaesdDecoder>(
      extent(names, "1.weight", 1), extent(names, "1.weight", 0), scope, compute, device);
  LUNA_RETURN_IF_ERROR(scope.status().with_context("TAESD decoder"));
  return model;
}

// Modules without weights: 0 clamps, 2 is a ReLU, 6, 11 and 16 double.
TaesdDecoder::TaesdDecoder(std::int64_t channels, std::int64_t width, const WeightScope& scope,
                           at::ScalarType compute, at::Device device)
    : channels_(channels),
      width_(width),
      placement_(compute, device),
      in_(scope.child("1"), {.in = channels, .out = width, .typical_extent = kTypicalCells},
          placement_),
      last_(block(scope.child("18"), kTypicalPixels)),
      out_(scope.child("19"), {.in = width, .out = kColours, .typical_extent = kTypicalPixels},
           placement_) {
  std::int64_t cells = kTypicalCells;
  for (const std::size_t first : {3u, 8u, 13u}) {
    std::vector<Block> blocks;
    for (std::size_t i = 0; i < 3; ++i) blocks.push_back(block(scope.child(first + i), cells));
    cells *= 2;
    stages_.push_back(
        {std::move(blocks),
         Conv2d(scope.child(first + 4),
                {.in = width, .out = width, .typical_extent = cells, .has_bias = false},
                placement_)});
  }
}

TaesdDecoder::Block TaesdDecoder::block(const WeightScope& scope, std::int64_t typical_extent) {
  const auto conv = [&](const char* name) {
    return Conv2d(scope.child("conv").child(name),
                  {.in = width_, .out = width_, .typical_extent = typical_extent}, placement_);
  };
  return {conv("0"), conv("2"), conv("4")};
}

at::Tensor TaesdDecoder::run(const Block& block, const at::Tensor& x) {
  at::Tensor h = block[0].forward(x).relu_();
  h = block[1].forward(h).relu_();
  return block[2].forward(h).add_(x).relu_();
}

at::Tensor TaesdDecoder::decode(const at::Tensor& latent) const {
  at::Tensor h = latent.to(placement_.device(), at::kFloat).div(kLatentMagnitude).tanh_();
  h = in_.forward(h.mul_(kLatentMagnitude).to(placement_.compute())).relu_();
  for (const Stage& stage : stages_) {
    for (const Block& block : stage.blocks) h = run(block, h);
    h = at::upsample_nearest2d(ops::to_picture_format(h), {2 * h.size(2), 2 * h.size(3)});
    h = stage.doubled.forward(h);
  }
  h = out_.forward(run(last_, h));
  return h.to(at::kFloat).mul(2).sub_(1).contiguous();
}

std::uint64_t TaesdDecoder::activation_bytes(std::int64_t height, std::int64_t width) const {
  const auto pixels = static_cast<std::uint64_t>(height * width * kFactor * kFactor);
  // Of the last block: what came in, two convolutions' results, and one in another layout.
  const std::uint64_t widest =
      4 * static_cast<std::uint64_t>(width_) * pixels * at::elementSize(placement_.compute());
  const std::uint64_t pictures = std::uint64_t{3} * kColours * sizeof(float) * pixels;
  const std::uint64_t scratch = std::uint64_t{placement_.device().is_cuda() ? 256u : 16u} << 20;
  return widest + pictures + scratch;
}

}  // namespace luna::worker
