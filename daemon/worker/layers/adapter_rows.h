#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/ops/conv2d.h"

namespace luna::worker {

/// What one low-rank adapter adds to the weights of a model, whatever its strength:
/// scale · up · down, by the weight's name ("middle_block.1.proj_in.weight"). On the model's
/// device, in its compute type. Immutable.
struct LowRankFactors {
  struct Term {
    at::Tensor up;    ///< [out, rank]
    at::Tensor down;  ///< [rank, in], for a convolution's weight [rank, in, k, k]
    double scale = 1;
  };
  std::unordered_map<std::string, Term> terms;
  std::uint64_t bytes = 0;
};

/// An adapter at a strength; `blocks` (a layer name's beginning → factor, the longest that fits
/// counts) makes parts of the model weaker or stronger.
struct RowAdapter {
  std::shared_ptr<const LowRankFactors> factors;
  double strength = 1;
  std::map<std::string, double> blocks;
  auto operator<=>(const RowAdapter&) const = default;
};
/// What a row of a forward is changed by; the order does not matter, all of it is added.
using RowAdapters = std::vector<RowAdapter>;

/// The factor that `blocks` gives to a layer; 1 where no beginning fits.
double block_strength(const std::map<std::string, double>& blocks, const std::string& layer);

/// Which rows of a forward are changed by which adapters. The layers add it to their results, so
/// that rows of different adapters share the product with the model's own weight.
class AdapterRows {
 public:
  AdapterRows() = default;
  /// One a row; empty for a row without adapters. Neighbours with equal ones are computed at once.
  explicit AdapterRows(const std::vector<RowAdapters>& rows);

  bool empty() const { return spans_.empty(); }
  /// y [n, ..., out] += what is added to the product of x [n, ..., in] with this weight.
  void add_linear(const std::string& weight, const at::Tensor& x, at::Tensor& y) const;
  /// The same for a convolution; x [n,in,h,w], y [n,out,h',w'].
  void add_conv2d(const std::string& weight, const at::Tensor& x,
                  const ops::Conv2dGeometry& geometry, at::Tensor& y) const;

 private:
  struct Span {
    std::int64_t first = 0, count = 0;
    RowAdapters adapters;
  };
  template <class Add>
  void for_each_term(const std::string& weight, Add add) const;
  std::vector<Span> spans_;
};

}  // namespace luna::worker
