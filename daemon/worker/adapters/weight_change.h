#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <ATen/ATen.h>

#include "common/base/status.h"

namespace luna::worker {

/// strength · scale · up·down, added to a weight: up [out, rank], down [rank, in] or [rank, in, k,
/// k] as the weight's own extents are; on the CPU, in the file's types.
struct LowRankProduct {
  at::Tensor up, down;
  double scale = 1;
};

/// What one adapter does to one weight. Immutable; runs on the device of the weight it is given.
/// Formulas: LyCORIS and PEFT, with ComfyUI's rules for alpha (comfy/weight_adapter).
class WeightChange {
 public:
  virtual ~WeightChange() = default;
  /// INVALID_ARGUMENT, with the shapes expected and found, when it cannot change such a weight.
  virtual Status fits(at::IntArrayRef weight) const = 0;
  /// `weight` f32, of a shape that fits; may be changed in place. The changed weight.
  virtual at::Tensor apply(at::Tensor weight, double strength) const = 0;
  /// The change as factors, where it is nothing but that. `weight` fits.
  virtual std::optional<LowRankProduct> product(at::IntArrayRef /*weight*/) const { return {}; }
  /// Memory of its tensors.
  virtual std::uint64_t bytes() const = 0;
};
using WeightChangePtr = std::shared_ptr<const WeightChange>;

/// Which norm DoRA's magnitude is divided by: that of rows of the unchanged weight or of columns of
/// the sum, as ComfyUI does (comfy/weight_adapter/base.py: weight_decompose), or that of the sum's
/// rows, as PEFT does.
enum class MagnitudeNorm { kComfyUi, kPeft };

/// A change W + strength * scale * D, where D does not depend on the strength; with a DoRA
/// magnitude the sum is brought to it first.
class AdditiveChange : public WeightChange {
 public:
  /// `scale`: alpha / rank, or 1. `magnitude`: DoRA's, one number an output row or an input column;
  /// undefined: none.
  AdditiveChange(double scale, at::Tensor magnitude, MagnitudeNorm norm = MagnitudeNorm::kComfyUi)
      : scale_(scale), magnitude_(std::move(magnitude)), norm_(norm) {}
  Status fits(at::IntArrayRef weight) const final;
  at::Tensor apply(at::Tensor weight, double strength) const final;

 protected:
  /// As fits(), of D alone.
  virtual Status direction_fits(at::IntArrayRef weight) const = 0;
  /// D, f32, of as many numbers as `weight`.
  virtual at::Tensor direction(const at::Tensor& weight) const = 0;
  double scale() const { return scale_; }
  bool has_magnitude() const { return magnitude_.defined(); }
  std::uint64_t magnitude_bytes() const { return magnitude_.defined() ? magnitude_.nbytes() : 0; }

 private:
  const double scale_;
  const at::Tensor magnitude_;
  const MagnitudeNorm norm_;
};

/// DoRA (Liu et al. 2024): `delta` is added to `weight`, rows or columns of the sum are scaled to
/// `magnitude`, and `strength` says how far the weight goes there. ComfyUI's norm is that of the
/// unchanged weight's rows when the magnitude has one number a row, else that of the sum's columns.
at::Tensor decomposed(const at::Tensor& weight, const at::Tensor& delta,
                      const at::Tensor& magnitude, double strength,
                      MagnitudeNorm of = MagnitudeNorm::kComfyUi);

/// Whether decomposed() can take such a magnitude; an undefined one always fits.
Status magnitude_fits(const at::Tensor& magnitude, at::IntArrayRef weight);

/// A tensor on the device of `like`, in f32.
at::Tensor f32_beside(const at::Tensor& tensor, const at::Tensor& like);

/// "expected A for a weight [3, 4], found B".
Status misfit(at::IntArrayRef weight, const std::string& expected, const std::string& found);

}  // namespace luna::worker
