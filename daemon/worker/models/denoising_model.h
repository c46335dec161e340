#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/layers/adapter_rows.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// kEdmV: velocity over kEdm's continuous range of sigmas.
enum class Prediction { kEps, kV, kEdm, kEdmV, kFlow, kFlux };

/// A continuous noise schedule, and the deviation of the data that it was made for.
struct SigmaRange {
  double min = 0.002, max = 120.0, data = 1.0;
};

/// What goes into a model's vector conditioning beside the pooled text: sizes and places of the
/// picture as sinusoids of kSizeWidth each.
enum class VectorConditioning {
  kNone,
  kSdxl,         ///< height, width, crop (top, left), target height and width
  kSdxlRefiner,  ///< height, width, crop (top, left), aesthetic score
};
inline constexpr int kSizeWidth = 256;

/// What a family fixes about its latents and its noise: never constants of the engine.
struct DenoiserTraits {
  std::string family;  ///< "sd1"
  Prediction prediction = Prediction::kEps;
  bool zero_terminal_snr = false;  ///< of kV: the last trained step keeps no signal
  SigmaRange sigmas;               ///< of kEdm and kEdmV
  int latent_channels = 4;
  int latent_factor = 8;                       ///< pixels a latent cell, each way
  double latent_scale = 1.0;                   ///< model space = (VAE space - mean) * scale / std
  std::vector<float> latent_mean, latent_std;  ///< one a channel; empty: 0 and 1
  int context_width = 768;
  VectorConditioning vector = VectorConditioning::kNone;
  int vector_width = 0;  ///< of "y"
  /// Of an inpainting model, else empty: mid-grey in model space, one a channel. Such a model takes
  /// "c_concat": the mask, then the latent of the picture without what the mask repaints.
  std::vector<float> blank_latent;
  bool inpaints() const { return !blank_latent.empty(); }
  /// Cross-attention only: contexts of different length may be repeated to a common multiple.
  bool context_repeats = true;
};

/// A UNet or DiT over weights that it does not own exclusively. Stateless: forward() may be called
/// for rows of different jobs in one batch; row i of the result depends on row i of the inputs
/// alone.
class DenoisingModel {
 public:
  virtual ~DenoisingModel() = default;
  virtual const DenoiserTraits& traits() const = 0;

  /// x [n,C,h,w] already scaled by the prediction's input rule and in compute_type(); timestep [n]
  /// f32; context [n,tokens,context_width] in compute_type(); extras by name ("y", "c_concat",
  /// ...), rows first; adapters of single rows, of weights in row_wise_weights(). Returns the raw
  /// prediction [n,C,h,w] in compute_type().
  virtual at::Tensor forward(const at::Tensor& x, const at::Tensor& timestep,
                             const at::Tensor& context,
                             const std::map<std::string, at::Tensor>& extras,
                             const AdapterRows& adapters) const = 0;
  at::Tensor forward(const at::Tensor& x, const at::Tensor& timestep, const at::Tensor& context,
                     const std::map<std::string, at::Tensor>& extras) const {
    return forward(x, timestep, context, extras, {});
  }

  virtual at::ScalarType compute_type() const = 0;
  virtual at::Device device() const = 0;
  /// Memory of the weights in the form that runs (prepacked copies included).
  virtual std::uint64_t resident_bytes() const = 0;
  /// What runs, by the names of its component's tensors; may lack some, or all.
  virtual const WeightStore::Tensors& running_weights() const {
    static const WeightStore::Tensors kNone;
    return kNone;
  }
  /// The weights to whose products forward() adds what single rows' adapters say; may be none.
  virtual const std::set<std::string>& row_wise_weights() const {
    static const std::set<std::string> kNone;
    return kNone;
  }
  /// Upper bound of the activations of a forward of `rows` rows at this latent size.
  virtual std::uint64_t activation_bytes(int rows, int height, int width, int tokens) const = 0;
};

}  // namespace luna::worker
