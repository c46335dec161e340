#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/status.h"
#include "daemon/worker/layers/conv2d.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// The decoder of TAESD (github.com/madebyollin/taesd, taesd.py Decoder): what a latent looks like,
/// in a small part of the VAE's time. Tensors have the numbers of the network's modules. Any
/// latent channels and width (64 in the published ones). Stateless.
class TaesdDecoder {
 public:
  static constexpr std::int64_t kFactor = 8;  ///< pixels a latent cell, each way

  /// INVALID_ARGUMENT names every missing or misshapen tensor. The store is not kept.
  static Result<std::shared_ptr<const TaesdDecoder>> build(
      std::shared_ptr<const WeightStore> weights, at::ScalarType compute, at::Device device);

  std::int64_t latent_channels() const { return channels_; }
  /// latent [n,C,h,w] in model space; returns pixels [n,3,8h,8w] f32, about -1..1, not clamped.
  at::Tensor decode(const at::Tensor& latent) const;

  std::uint64_t resident_bytes() const { return placement_.resident_bytes(); }
  /// Upper bound for one latent of this many cells.
  std::uint64_t activation_bytes(std::int64_t height, std::int64_t width) const;

  TaesdDecoder(std::int64_t channels, std::int64_t width, const WeightScope& scope,
               at::ScalarType compute, at::Device device);

 private:
  using Block = std::array<Conv2d, 3>;  ///< what came in is added to the last
  struct Stage {
    std::vector<Block> blocks;
    Conv2d doubled;  ///< behind the doubling
  };
  Block block(const WeightScope& scope, std::int64_t typical_extent);
  static at::Tensor run(const Block& block, const at::Tensor& x);

  const std::int64_t channels_, width_;
  Placement placement_;
  Conv2d in_;
  std::vector<Stage> stages_;
  Block last_;
  Conv2d out_;
};

}  // namespace luna::worker
