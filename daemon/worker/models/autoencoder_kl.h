#pragma once

#include <memory>
#include <optional>

#include "daemon/worker/models/autoencoder_parts.h"
#include "daemon/worker/models/vae.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// ldm's AutoencoderKL: SD1.5 and SDXL (4 channels, quant convolutions), SD3 and Flux (16,
/// without). Pictures of a batch are taken one after the other, so memory is that of one. Reference
/// for names and order: CompVis latent-diffusion model.py Encoder and Decoder.
class AutoencoderKl : public Vae {
 public:
  /// Weights in ldm names (diffusers names are renamed on reading, see registry.h).
  /// INVALID_ARGUMENT names every missing or misshapen tensor. The store is not kept.
  static Result<std::shared_ptr<const AutoencoderKl>> build(
      std::shared_ptr<const WeightStore> weights, at::ScalarType compute, at::Device device);

  int latent_channels() const override { return static_cast<int>(config_.latent_channels); }
  int factor() const override { return config_.factor(); }
  at::Tensor encode(const at::Tensor& pixels) const override;
  at::Tensor decode(const at::Tensor& latent) const override;
  at::Device device() const override { return placement_.device(); }
  std::uint64_t resident_bytes() const override { return placement_.resident_bytes(); }
  std::uint64_t encode_activation_bytes(int height, int width) const override;
  std::uint64_t decode_activation_bytes(int height, int width) const override;

  AutoencoderKl(AutoencoderConfig config, const WeightScope& scope, at::ScalarType compute,
                at::Device device);

 private:
  at::Tensor encode_one(const at::Tensor& pixels) const;
  at::Tensor decode_one(const at::Tensor& latent) const;
  std::uint64_t activation_bytes(const std::vector<std::int64_t>& widths, int height,
                                 int width) const;

  const AutoencoderConfig config_;
  Placement placement_;
  AutoencoderEncoder encoder_;
  std::optional<Conv2d> quant_;
  std::optional<Conv2d> post_quant_;
  AutoencoderDecoder decoder_;
};

}  // namespace luna::worker
