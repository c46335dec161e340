#pragma once

#include <map>
#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// The pristine weights of one component: prefix-free names to tensors, in one storage type, on one
/// device. Immutable once made, shared by everyone who runs the component; adapters write
/// elsewhere.
class WeightStore {
 public:
  using Tensors = std::map<std::string, at::Tensor>;
  WeightStore(Tensors tensors, std::map<std::string, std::string> metadata,
              std::string content_hash);

  /// nullptr when there is no such tensor.
  const at::Tensor* find(const std::string& name) const;
  const Tensors& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Hex SHA-256 over sorted prefix-free names, shapes, types and bytes as they lie in the file; a
  /// 1x1 convolution counts as the matrix that it is.
  const std::string& content_hash() const { return content_hash_; }
  std::uint64_t bytes() const;

 private:
  const Tensors tensors_;
  const std::map<std::string, std::string> metadata_;
  const std::string content_hash_;
};

}  // namespace luna::worker
