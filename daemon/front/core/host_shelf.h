#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/config/config.h"
#include "common/types/host_weights.h"

namespace luna::front {

/// The machine's host copies of pristine weights, each content once: for every worker, and beyond
/// their lives. The front holds descriptors and never looks at the bytes. Under its budget the
/// longest unused go first, pinned ones never; what a worker has mapped stays mapped there. Not
/// thread-safe.
class HostShelf {
 public:
  explicit HostShelf(std::uint64_t budget_bytes) : budget_(budget_bytes) {}

  static constexpr std::size_t kMaxSources = 4096;

  std::optional<HostWeights> find(const ComponentSource& source);
  /// Keeps them if they fit the budget by themselves. Of equal content the first copy stays. Other
  /// identities of the same path are forgotten, with what nothing else leads to. INVALID_ARGUMENT
  /// for weights that are not whole, RESOURCE_EXHAUSTED when they pass the budget, alone or beside
  /// what is pinned.
  Status keep(const ComponentSource& source, HostWeights weights);

  /// Whether there is a copy of anything that was read from this path.
  bool holds(const std::string& path) const;
  /// Whether there is a copy of this content.
  bool has(const std::string& content_hash) const { return copies_.contains(content_hash); }
  /// Forgets what was read from this path, and of it only `slot` when that is given; content that
  /// `spared` names stays, and so does what other files lead to. The bytes that went.
  std::uint64_t drop(const std::string& path, std::optional<Slot> slot,
                     const std::set<std::string>& spared);
  /// What was read from these files stays whatever the budget needs; replaces the former ones.
  void set_pins(std::set<std::string> paths) { pins_ = std::move(paths); }

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
  bool pinned(const std::string& hash) const;
  /// False when all that is left is pinned.
  bool drop_oldest();

  const std::uint64_t budget_;
  std::uint64_t clock_ = 0, bytes_ = 0, hits_ = 0;
  Copies copies_;  ///< by content hash
  std::map<ComponentSource, std::string> sources_;
  std::set<std::string> pins_;
};

/// What the configuration gives host copies, in bytes.
std::uint64_t host_shelf_budget(const Config::Memory& config);

}  // namespace luna::front
