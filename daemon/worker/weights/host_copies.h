#pragma once

#include <optional>

#include "common/types/host_weights.h"

namespace luna::worker {

/// Where the machine's host copies of pristine weights are kept, beyond this process and its life:
/// the front, reached over the control socket, or a test's stand-in. Called from the loading thread
/// only; may wait for seconds.
class HostCopies {
 public:
  virtual ~HostCopies() = default;
  /// nullopt when there is no copy, or none can be had now.
  virtual std::optional<HostWeights> find(const ComponentSource& source) = 0;
  /// Offers what was read from `source`; it may be kept or not.
  virtual void keep(const ComponentSource& source, const HostWeights& weights) = 0;
};

}  // namespace luna::worker
