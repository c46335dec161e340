#pragma once

#include <map>
#include <string>

#include "common/types/tensor.h"

namespace luna::worker {

/// What a model file says before any byte of a tensor is read: names, shapes, types and the file's
/// own metadata. Detection works on this alone.
struct TensorDirectory {
  std::map<std::string, TensorSpec> tensors;
  std::map<std::string, std::string> metadata;

  bool has(const std::string& name) const { return tensors.contains(name); }
  /// The shape, or an empty one when there is no such tensor.
  const std::vector<std::int64_t>& shape(const std::string& name) const;
};

}  // namespace luna::worker
