#include "daemon/front/core/cuda_table.h"

#include <algorithm>
#include <utility>

#include "daemon/front/core/random_id.h"

namespace luna::front {

// --- proofs ---

Status CudaTable::expect(const std::string& session, const std::string& lease_id,
                         std::string expected) {
  auto& questions = sessions_[session].expected;
  if (questions.size() >= kMaxPendingProofs) {
    return error(StatusCode::kResourceExhausted,
                 "{} proofs of this session wait for Tensors.ConfirmCuda, as many as may",
                 questions.size());
  }
  questions[lease_id] = std::move(expected);
  return {};
}

Result<std::string> CudaTable::confirm(const std::string& session, const std::string& lease_id,
                                       const std::string& nonce) {
  LUNA_RETURN_IF_ERROR(check(session, lease_id));
  auto& questions = sessions_[session].expected;
  const auto question = questions.find(lease_id);
  if (question == questions.end()) {
    return error(StatusCode::kNotFound, "no number waits to be read in lease '{}'", lease_id);
  }
  const bool right = question->second == nonce;
  questions.erase(question);
  const std::string device = leases_.at(lease_id).device_uuid;
  if (!right) {
    return error(
        StatusCode::kFailedPrecondition,
        "the number that the client read is not the one that was written into memory of {}: "
        "CUDA handles do not pass between these two processes",
        device);
  }
  sessions_[session].proved.insert(device);
  return device;
}

bool CudaTable::proved(const std::string& session, const std::string& device_uuid) const {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && found->second.proved.contains(device_uuid);
}

std::vector<std::string> CudaTable::devices(const std::string& session) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return {};
  return {found->second.proved.begin(), found->second.proved.end()};
}

// --- leases ---

Status CudaTable::add(const std::string& session, WorkerId worker, std::uint64_t life,
                      std::uint64_t bytes, CudaHandle& handle) {
  Session& owner = sessions_[session];
  if (owner.leases.size() >= kMaxLeases) {
    return error(StatusCode::kResourceExhausted,
                 "the session has {} leases of GPU memory, as many as one may; free some",
                 owner.leases.size());
  }
  std::string id = random_id("g-");
  Lease lease;
  lease.session = session;
  lease.at = {worker, life, std::exchange(handle.lease_id, id)};
  lease.device_uuid = handle.device_uuid;
  lease.bytes = bytes;
  owner.leases.insert(id);
  leases_.emplace(std::move(id), std::move(lease));
  return {};
}

Status CudaTable::check(const std::string& session, const std::string& lease_id) const {
  const auto found = leases_.find(lease_id);
  if (found == leases_.end() || found->second.freed) {
    return error(StatusCode::kNotFound, "no lease '{}' of GPU memory: it was freed, or never was",
                 lease_id);
  }
  if (found->second.session != session) {
    return error(StatusCode::kPermissionDenied, "lease '{}' belongs to another session", lease_id);
  }
  if (found->second.lost) {
    return error(
        StatusCode::kDataLoss,
        "lease '{}' ended with the worker that held the memory, and what was in it is lost; "
        "make the call again that it came from",
        lease_id);
  }
  return {};
}

void CudaTable::begin_use(const std::vector<std::string>& lease_ids) {
  for (const std::string& id : lease_ids) {
    if (const auto found = leases_.find(id); found != leases_.end()) ++found->second.users;
  }
}

CudaTable::Releases CudaTable::end_use(const std::vector<std::string>& lease_ids) {
  Releases releases;
  for (const std::string& id : lease_ids) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) continue;
    if (--found->second.users == 0 && found->second.freed) end(found, releases);
  }
  return releases;
}

CudaTable::Releases CudaTable::free(const std::vector<std::string>& lease_ids) {
  Releases releases;
  for (const std::string& id : lease_ids) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) continue;
    Lease& lease = found->second;
    lease.freed = true;
    if (const auto owner = sessions_.find(lease.session); owner != sessions_.end()) {
      owner->second.leases.erase(id);
      owner->second.expected.erase(id);
    }
    if (lease.users == 0) end(found, releases);
  }
  return releases;
}

CudaTable::Releases CudaTable::close(const std::string& session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return {};
  const std::vector<std::string> ids(found->second.leases.begin(), found->second.leases.end());
  sessions_.erase(found);
  return free(ids);
}

bool CudaTable::holds(WorkerId worker) const {
  return std::ranges::any_of(leases_, [&](const auto& entry) {
    return entry.second.at.worker == worker && !entry.second.lost;
  });
}

void CudaTable::worker_gone(WorkerId worker) {
  for (auto& [id, lease] : leases_) {
    if (lease.at.worker == worker) lease.lost = true;
  }
}

void CudaTable::end(std::map<std::string, Lease>::iterator lease, Releases& releases) {
  if (!lease->second.lost) releases.push_back(lease->second.at);
  leases_.erase(lease);
}

}  // namespace luna::front
