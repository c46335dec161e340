#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include <ATen/ATen.h>

#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/weights/weight_scope.h"

namespace luna::worker {

/// Where and in which type a model's layers run, and how much memory their weights take in the form
/// that runs. One for each model under construction; layers place every tensor through it.
///
/// A tensor that already has the wanted type and device is shared with its WeightStore, everything
/// else (converted, packed) is a copy that does not refer to the store: once the model stands, the
/// store may go, and then only what runs is resident.
class Placement {
 public:
  Placement(at::ScalarType compute, at::Device device) : compute_(compute), device_(device) {}
  Placement(const Placement&) = delete;
  Placement& operator=(const Placement&) = delete;

  at::ScalarType compute() const { return compute_; }
  at::Device device() const { return device_; }

  /// The tensor on the device, in the compute type. Undefined stays undefined.
  at::Tensor place(const at::Tensor& pristine) { return place(pristine, compute_); }
  at::Tensor place(const at::Tensor& pristine, at::ScalarType type);
  /// As place(), in another form (oneDNN's, NHWC) where that pays; `pack` makes it from the placed
  /// tensor, and gives one that has this form back as it is.
  template <class Pack>
  at::Tensor place_packed(const at::Tensor& pristine, bool worthwhile, Pack pack) {
    if (!pristine.defined()) return pristine;
    if (ops::is_packed(pristine)) return placed(pristine, pristine);
    if (!worthwhile) return place(pristine);
    return placed(pristine, pack(pristine.to(device_, compute_)));
  }

  std::uint64_t resident_bytes() const { return resident_bytes_; }

  /// A layer says that it can add adapters of rows (AdapterRows) to this weight's product.
  void adds_rows_to(const std::string& weight) { row_wise_.insert(weight); }
  const std::set<std::string>& row_wise() const { return row_wise_; }

  /// To be called once the model stands: from then on running() has what became of the tensors of
  /// `store`, by their names, as far as they were placed. Placed once more they come back as they
  /// are, so that a model over the same weights but for a few shares all others with this one.
  void name_running(const WeightStore& store);
  const WeightStore::Tensors& running() const { return running_; }

 private:
  at::Tensor placed(const at::Tensor& pristine, at::Tensor tensor);

  const at::ScalarType compute_;
  const at::Device device_;
  std::uint64_t resident_bytes_ = 0;
  std::map<const void*, at::Tensor> placed_;  ///< by where the pristine bytes lie
  WeightStore::Tensors running_;
  std::set<std::string> row_wise_;
};

/// A projection stored as a matrix [out,in] or as a 1x1 convolution [out,in,1,1]: both as a matrix.
at::Tensor take_projection(const WeightScope& scope, const std::string& name, std::int64_t out,
                           std::int64_t in);

}  // namespace luna::worker
