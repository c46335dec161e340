#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/base/status.h"
#include "daemon/worker/weights/weight_store.h"

namespace luna::worker {

/// A layer's view of a WeightStore: the names below one prefix.
///
/// Layers take their tensors from here while they are built. A missing tensor or a wrong shape is
/// noted and answered with an undefined tensor, so that building goes on and status() afterwards
/// names every such tensor at once. A factory checks status() before it hands the model out.
class WeightScope {
 public:
  explicit WeightScope(std::shared_ptr<const WeightStore> store);

  /// The names below "<prefix>.<name>."; shares the list of problems with this scope.
  WeightScope child(const std::string& name) const;
  WeightScope child(std::size_t index) const { return child(std::to_string(index)); }

  bool has(const std::string& name) const;
  /// The tensor, checked against `shape` (-1 takes any extent).
  at::Tensor take(const std::string& name, std::vector<std::int64_t> shape) const;
  /// As take(), but an absent tensor is fine and undefined.
  at::Tensor take_optional(const std::string& name, std::vector<std::int64_t> shape) const;

  const std::string& prefix() const { return prefix_; }
  const std::shared_ptr<const WeightStore>& store() const { return store_; }
  /// INVALID_ARGUMENT naming the missing or misshapen tensors (the first ten, and how many more).
  Status status() const;

 private:
  struct Problems;
  WeightScope(std::shared_ptr<const WeightStore> store, std::string prefix,
              std::shared_ptr<Problems>);

  std::shared_ptr<const WeightStore> store_;
  std::string prefix_;
  std::shared_ptr<Problems> problems_;
};

}  // namespace luna::worker
