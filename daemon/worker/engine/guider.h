#pragma once

#include <string_view>

#include <ATen/ATen.h>

#include "common/base/status.h"
#include "common/types/sampling.h"
#include "daemon/worker/sampling/model_sampling.h"

namespace luna::worker {

/// How a row's two predictions become one, over the run. Options of Guidance.options:
///   start_percent, end_percent (0 and 1): `cfg` counts in this part of the schedule alone
///     (arXiv 2404.07724), which is ComfyUI's CFGOverride node;
///   outside_cfg (1): the guidance before and after it; at 1 the negative is not evaluated there;
///   curve (0): 0 constant, 1 triangle, 2 cosine: guidance rises from curve_low (1) at either end
///     of the model's time to `cfg` in the middle (arXiv 2404.13040);
///   rescale (0): 0..1, pulls the result's spread to the positive's (arXiv 2305.08891), ComfyUI's
///     RescaleCFG node;
///   threshold_percentile (100): x0 is clamped to this percentile of the row's magnitudes (dynamic
///     thresholding, arXiv 2205.11487, without its scaling back to 1); 100 clamps nothing.
class Guider {
 public:
  /// INVALID_ARGUMENT names an option that is unknown or out of range.
  static Result<Guider> make(const Guidance& guidance, std::string_view what,
                             const ModelSampling& sampling);

  /// The guidance at a sigma.
  double cfg(double sigma) const;
  /// True when the negative has no weight at this sigma.
  bool ignores_negative(double sigma) const;
  /// True when it has none at any sigma.
  bool never_needs_negative() const;
  /// Guided x0 of one row [1, C, h, w]; `negative` may be undefined where ignores_negative(). `x`:
  /// the state that both predictions are of.
  at::Tensor combine(const at::Tensor& positive, const at::Tensor& negative, const at::Tensor& x,
                     double sigma) const;

 private:
  enum class Curve { kConstant = 0, kTriangle = 1, kCosine = 2 };
  double share_of_time(double sigma) const;

  const ModelSampling* sampling_ = nullptr;
  double cfg_ = 1;
  double outside_cfg_ = 1;
  double sigma_from_ = 0;
  double sigma_to_ = 0;
  Curve curve_ = Curve::kConstant;
  double curve_low_ = 1;
  double rescale_ = 0;
  double threshold_percentile_ = 100;
};

}  // namespace luna::worker
