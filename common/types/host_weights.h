#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/types/file_identity.h"
#include "common/types/model.h"
#include "common/types/tensor.h"

namespace luna {

/// One component of one state of a model file.
struct ComponentSource {
  FileIdentity file;
  Slot slot = Slot::kUNet;
  auto operator<=>(const ComponentSource&) const = default;
};

/// A tensor of a component, prefix-free name, and where its bytes begin.
struct HostTensor {
  std::string name;
  TensorSpec spec;
  std::uint64_t offset = 0;
  bool operator==(const HostTensor&) const = default;
};

/// The pristine weights of a component as they lie in the file, in one piece of sealed memory that
/// any process may map. `content_hash` is WeightStore's.
struct HostWeights {
  std::string content_hash;
  std::vector<HostTensor> tensors;
  std::map<std::string, std::string> metadata;
  BytesPtr bytes;

  /// INVALID_ARGUMENT when there are no bytes, or a tensor's spec is invalid or does not lie within
  /// them.
  Status validate() const;
};

}  // namespace luna
