#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace luna::worker {

/// An autoencoder between pixels and latents in VAE scale (unscaled). Stateless.
class Vae {
 public:
  virtual ~Vae() = default;
  virtual int latent_channels() const = 0;
  virtual int factor() const = 0;  ///< pixels a latent cell, each way

  /// pixels [n,3,H,W] in -1..1, H and W multiples of factor(); returns the posterior mean [n,C,h,w]
  /// f32.
  virtual at::Tensor encode(const at::Tensor& pixels) const = 0;
  /// latent [n,C,h,w] f32; returns pixels [n,3,H,W] f32, about -1..1, not clamped.
  virtual at::Tensor decode(const at::Tensor& latent) const = 0;

  virtual at::Device device() const = 0;
  virtual std::uint64_t resident_bytes() const = 0;
  /// Upper bounds for one picture of this many pixels.
  virtual std::uint64_t encode_activation_bytes(int height, int width) const = 0;
  virtual std::uint64_t decode_activation_bytes(int height, int width) const = 0;
};

}  // namespace luna::worker
