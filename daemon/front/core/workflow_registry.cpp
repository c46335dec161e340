#include "daemon/front/core/workflow_registry.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/base/nearest_name.h"

namespace luna::front {
namespace {

std::uint32_t seconds_between(TimePoint now, TimePoint end) {
  if (end <= now) return 0;
  return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(end - now).count());
}

}  // namespace

Status WorkflowRegistry::check_id(const std::string& id) {
  const auto allowed = [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) || c == '.' || c == '_' || c == ':' || c == '-');
  };
  if (!id.empty() && id.size() <= 128 && std::ranges::all_of(id, allowed)) return {};
  return error(StatusCode::kInvalidArgument,
               "a workflow id has 1 to 128 characters of [A-Za-z0-9._:-], found {} bytes{}",
               id.size(), id.size() <= 128 ? fmt::format(": '{}'", id) : "");
}

Status WorkflowRegistry::check_room(const std::string& id) const {
  if (entries_.contains(id) || entries_.size() < max_workflows_) return {};
  return error(StatusCode::kResourceExhausted,
               "{} workflows are registered, as many as [limits] workflows allows; release one, or "
               "retry in 1000 ms",
               entries_.size());
}

Result<WorkflowInfo> WorkflowRegistry::install(std::uint64_t sequence, const std::string& id,
                                               RequestedModels requested, AssignedModels assigned,
                                               std::uint32_t ttl_seconds, TimePoint now) {
  LUNA_RETURN_IF_ERROR(check_room(id));
  Entry& entry = entries_[id];
  if (entry.sequence > sequence) {
    return error(StatusCode::kFailedPrecondition,
                 "workflow '{}' was registered again while this registration was looking at its "
                 "files; the later one stays",
                 id);
  }
  entry.sequence = sequence;
  entry.info.id = id;
  entry.info.requested = std::move(requested);
  entry.info.models = std::move(assigned.models);
  entry.info.components = std::move(assigned.components);
  entry.info.ttl_seconds = ttl_seconds == 0 ? default_ttl_ : ttl_seconds;
  renew(entry, now);
  WorkflowInfo info = entry.info;
  info.seconds_left = seconds_between(now, entry.ends);
  return info;
}

void WorkflowRegistry::renew(Entry& entry, TimePoint now) const {
  entry.ends = now + std::chrono::seconds(entry.info.ttl_seconds);
}

Status WorkflowRegistry::unknown(const std::string& id) const {
  std::vector<std::string> ids;
  for (const auto& [known, entry] : entries_) ids.push_back(known);
  return error(StatusCode::kNotFound,
               "no workflow '{}': it was never registered, was released, or its lease ended{}",
               id.substr(0, 128), did_you_mean(id, ids));
}

Result<ModelSet> WorkflowRegistry::begin_call(const std::string& id, TimePoint now) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return unknown(id);
  renew(found->second, now);
  ++found->second.info.calls;
  ++running_[id];
  return found->second.info.models;
}

std::optional<ModelSet> WorkflowRegistry::models_of(const std::string& id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() ? std::nullopt : std::optional(found->second.info.models);
}

const std::vector<ComponentInfo>& WorkflowRegistry::components_of(const std::string& id) const {
  return entries_.at(id).info.components;
}

void WorkflowRegistry::end_call(const std::string& id, TimePoint now) {
  if (const auto running = running_.find(id); running != running_.end()) {
    if (--running->second == 0) running_.erase(running);
  }
  if (const auto found = entries_.find(id); found != entries_.end()) renew(found->second, now);
}

Result<std::uint32_t> WorkflowRegistry::renew(const std::string& id, TimePoint now) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return unknown(id);
  renew(found->second, now);
  return seconds_between(now, found->second.ends);
}

Status WorkflowRegistry::release(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return unknown(id);
  entries_.erase(found);
  return {};
}

std::vector<std::string> WorkflowRegistry::expire(TimePoint now) {
  std::vector<std::string> ended;
  for (const auto& [id, entry] : entries_) {
    if (entry.ends <= now && !running_.contains(id)) ended.push_back(id);
  }
  for (const std::string& id : ended) entries_.erase(id);
  return ended;
}

std::vector<WorkflowInfo> WorkflowRegistry::list(TimePoint now) const {
  std::vector<WorkflowInfo> infos;
  for (const auto& [id, entry] : entries_) {
    WorkflowInfo& info = infos.emplace_back(entry.info);
    info.seconds_left = seconds_between(now, entry.ends);
    if (const auto running = running_.find(id); running != running_.end()) {
      info.calls_running = running->second;
    }
  }
  return infos;
}

}  // namespace luna::front
