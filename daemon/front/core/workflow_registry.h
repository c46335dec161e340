#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/types/info.h"
#include "daemon/front/core/clock.h"
#include "daemon/front/core/model_assignment.h"

namespace luna::front {

/// Workflow ids and their model sets. Registrations are leases: each use gives them their full time
/// again, and one with a call under way does not end. Not thread-safe.
class WorkflowRegistry {
 public:
  WorkflowRegistry(std::uint32_t max_workflows, std::uint32_t default_ttl_seconds)
      : max_workflows_(max_workflows), default_ttl_(default_ttl_seconds) {}

  static constexpr std::uint32_t kMaxTtlSeconds = 365u * 24 * 60 * 60;

  /// 1 to 128 characters of [A-Za-z0-9._:-], else INVALID_ARGUMENT.
  static Status check_id(const std::string& id);

  /// RESOURCE_EXHAUSTED when `id` is new and there are as many as allowed.
  Status check_room(const std::string& id) const;
  /// A registration that begins; of two that overlap, the later one counts.
  std::uint64_t begin() { return ++last_sequence_; }
  /// Puts the set in place of what `id` had. FAILED_PRECONDITION when a registration of the same id
  /// that began later is in place already.
  Result<WorkflowInfo> install(std::uint64_t sequence, const std::string& id,
                               RequestedModels requested, AssignedModels assigned,
                               std::uint32_t ttl_seconds, TimePoint now);

  /// The present set for one call, which is counted as running until end_call(); renews the lease.
  Result<ModelSet> begin_call(const std::string& id, TimePoint now);
  /// The present set, if there is such a workflow; no use of it.
  std::optional<ModelSet> models_of(const std::string& id) const;
  /// Of a workflow that begin_call() just found; valid until the next change.
  const std::vector<ComponentInfo>& components_of(const std::string& id) const;
  void end_call(const std::string& id, TimePoint now);

  /// The seconds that it has now. NOT_FOUND names near ids.
  Result<std::uint32_t> renew(const std::string& id, TimePoint now);
  Status release(const std::string& id);
  /// Ends the leases that have run out; their ids.
  std::vector<std::string> expire(TimePoint now);

  std::vector<WorkflowInfo> list(TimePoint now) const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    WorkflowInfo info;
    std::uint64_t sequence = 0;
    TimePoint ends;
  };
  void renew(Entry& entry, TimePoint now) const;
  Status unknown(const std::string& id) const;

  std::uint32_t max_workflows_;
  std::uint32_t default_ttl_;
  std::uint64_t last_sequence_ = 0;
  std::map<std::string, Entry> entries_;
  /// Calls under way by id: they outlive a release, and count for a registration that follows it.
  std::map<std::string, std::uint32_t> running_;
};

}  // namespace luna::front
