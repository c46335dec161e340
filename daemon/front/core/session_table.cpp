#include "daemon/front/core/session_table.h"

#include <utility>

#include "daemon/front/core/random_id.h"

namespace luna::front {
namespace {

constexpr std::size_t kMaxClientName = 256;

/// Tensors without bytes (all zeros) occupy nothing.
std::uint64_t cost_of(const TensorRef& tensor) {
  return tensor.host_bytes() ? tensor.spec.byte_size() : 0;
}

bool exceeds(std::uint64_t has, std::uint64_t more, std::uint64_t limit) {
  return more > limit || has > limit - more;
}

}  // namespace

Result<std::string> SessionTable::open(const std::string& client_name) {
  if (sessions_.size() >= limits_.sessions) {
    return error(StatusCode::kResourceExhausted,
                 "{} sessions are open, as many as [limits] sessions allows; retry in 1000 ms",
                 sessions_.size());
  }
  std::string id = random_id("s-");
  sessions_[id].client = client_name.substr(0, kMaxClientName);
  return id;
}

bool SessionTable::close(const std::string& session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return false;
  for (const std::string& id : found->second.tensors) drop(id);
  sessions_.erase(found);
  return true;
}

std::uint64_t SessionTable::drop(const std::string& id) {
  const auto found = tensors_.find(id);
  const std::uint64_t cost = cost_of(found->second.tensor);
  bytes_ -= cost;
  if (const auto workflow = bytes_by_workflow_.find(found->second.workflow);
      workflow != bytes_by_workflow_.end() && (workflow->second -= cost) == 0) {
    bytes_by_workflow_.erase(workflow);
  }
  tensors_.erase(found);
  return cost;
}

std::uint64_t SessionTable::bytes_of_workflow(const std::string& workflow) const {
  const auto found = bytes_by_workflow_.find(workflow);
  return found == bytes_by_workflow_.end() ? 0 : found->second;
}

std::map<std::string, SessionInfo> SessionTable::list() const {
  std::map<std::string, SessionInfo> list;
  for (const auto& [id, session] : sessions_) {
    SessionInfo& info = list[id];
    info.client_name = session.client;
    info.tensors = session.tensors.size();
    info.tensor_bytes = session.bytes;
  }
  return list;
}

Status SessionTable::check(const std::string& session) const {
  if (sessions_.contains(session)) return {};
  return error(StatusCode::kNotFound, "no open session '{}': it ended, or never was", session);
}

const std::string& SessionTable::client_of(const std::string& session) const {
  static const std::string kNobody;
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? kNobody : found->second.client;
}

Result<TensorRef> SessionTable::keep(const std::string& session, const std::string& workflow,
                                     TensorRef tensor) {
  if (session.empty()) {
    return error(StatusCode::kFailedPrecondition,
                 "keeping a tensor on the server needs a session (metadata luna-session-id)");
  }
  LUNA_RETURN_IF_ERROR(check(session));
  LUNA_RETURN_IF_ERROR(tensor.validate("kept tensor"));
  Session& owner = sessions_.at(session);
  if (owner.tensors.size() >= kMaxTensors) {
    return error(StatusCode::kResourceExhausted,
                 "the session keeps {} tensors, as many as one may; free some", kMaxTensors);
  }
  const std::uint64_t cost = cost_of(tensor);
  if (exceeds(owner.bytes, cost, limits_.bytes_per_session)) {
    return error(StatusCode::kResourceExhausted,
                 "the session keeps {} bytes; {} more for {} would exceed its quota of {} bytes",
                 owner.bytes, cost, tensor.spec.to_string(), limits_.bytes_per_session);
  }
  if (exceeds(bytes_of_workflow(workflow), cost, limits_.bytes_per_workflow)) {
    return error(StatusCode::kResourceExhausted,
                 "the tensors of workflow '{}' have {} bytes; {} more for {} would exceed [limits] "
                 "resident_bytes_per_workflow, {}",
                 workflow, bytes_of_workflow(workflow), cost, tensor.spec.to_string(),
                 limits_.bytes_per_workflow);
  }
  std::string id = random_id("t-");
  TensorRef reference{tensor.spec, ResidentTensor{id}};
  owner.bytes += cost;
  owner.tensors.insert(id);
  bytes_ += cost;
  if (cost > 0) bytes_by_workflow_[workflow] += cost;
  tensors_.emplace(std::move(id), Kept{std::move(tensor), session, workflow});
  return reference;
}

Result<TensorRef> SessionTable::find(const std::string& session, const std::string& workflow,
                                     const std::string& id) const {
  const auto found = tensors_.find(id);
  if (found == tensors_.end()) {
    return error(StatusCode::kNotFound, "no tensor '{}' is kept: it was freed, or never was", id);
  }
  const Kept& kept = found->second;
  if (kept.session != session) {
    return error(StatusCode::kPermissionDenied, "tensor '{}' belongs to another session", id);
  }
  if (!kept.workflow.empty() && kept.workflow != workflow) {
    return error(StatusCode::kPermissionDenied,
                 "tensor '{}' belongs to workflow '{}', the call names '{}'", id, kept.workflow,
                 workflow);
  }
  return kept.tensor;
}

Result<std::uint64_t> SessionTable::free(const std::string& session, const std::string& workflow,
                                         const std::vector<std::string>& ids) {
  const std::set<std::string> distinct(ids.begin(), ids.end());
  for (const std::string& id : distinct) LUNA_RETURN_IF_ERROR(find(session, workflow, id).status());
  std::uint64_t freed = 0;
  for (const std::string& id : distinct) {
    freed += drop(id);
    sessions_.at(session).tensors.erase(id);
  }
  sessions_.at(session).bytes -= freed;
  return freed;
}

}  // namespace luna::front
