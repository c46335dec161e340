#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/config/config.h"
#include "common/types/host_weights.h"

namespace luna::front {

/// The machine's host copies of pristine weights, each content once: for every worker, and beyond
/// their lives. The front holds descriptors and never looks at the bytes. Under its budget the
/// longest unused go first; what a worker has mapped stays mapped there. Not thread-safe.
class HostShelf {
 public:
  explicit HostShelf(std::uint64_t budget_bytes) : budget_(budget_bytes) {}

  static constexpr std::size_t kMaxSources = 4096;

  std::optional<HostWeights> find(const ComponentSource& source);
  /// Keeps them if they fit the budget by themselves. Of equal content the first copy stays. Other
  /// identities of the same path are forgotten, with what nothing else leads to. INVALID_ARGUMENT
  /// for weights that are not whole, RESOURCE_EXHAUSTED when they alone pass the budget.
  Status keep(const ComponentSource& source, HostWeights weights);

  std::uint64_t bytes() const { return bytes_; }
  std::size_t copies() const { return copies_.size(); }
  /// Questions that find() could answer.
  std::uint64_t hits() const { return hits_; }

 private:
  struct Copy {
    HostWeights weights;
    std::uint64_t last_use = 0;
    std::size_t sources = 0;
  };
  using Copies = std::map<std::string, Copy>;
  void forget(std::map<ComponentSource, std::string>::iterator source);
  void drop(Copies::iterator copy);
  void drop_oldest();

  const std::uint64_t budget_;
  std::uint64_t clock_ = 0, bytes_ = 0, hits_ = 0;
  Copies copies_;  ///< by content hash
  std::map<ComponentSource, std::string> sources_;
};

/// What the configuration gives host copies, in bytes.
std::uint64_t host_shelf_budget(const Config::Memory& config);

}  // namespace luna::front
