#pragma once

#include <optional>

#include "common/types/host_weights.h"

namespace luna::worker {

/// Where the machine's host copies of pristine weights are kept, beyond this process and its life:
/// the front, reached over the control socket, or a test's stand-in. Called from the loading thread
/// only; may wait as long as another worker reads the same.
class HostCopies {
 public:
  virtual ~HostCopies() = default;
  /// nullopt when there is no copy, or none can be had now: then the caller reads the file, and
  /// ends that with keep() or give_up(), for others may wait for it.
  virtual std::optional<HostWeights> find(const ComponentSource& source) = 0;
  /// Offers what was read from `source`; it may be kept or not.
  virtual void keep(const ComponentSource& source, const HostWeights& weights) = 0;
  /// What find() did not have could not be read either.
  virtual void give_up(const ComponentSource& source) = 0;
};

}  // namespace luna::worker
