// The part of JobFlow that has to do with GPU memory: which device a call needs, whose memory it
// names, and what becomes of the leases in its reply.
#include <map>
#include <utility>

#include "common/types/cuda_handle.h"
#include "common/types/request_tensors.h"
#include "daemon/front/core/job_flow.h"
#include "daemon/front/core/request_validation.h"

namespace luna::front {
namespace {

Status needs_session(const std::string& what) {
  return error(StatusCode::kFailedPrecondition,
               "{} needs a session: metadata luna-session-id is missing", what);
}

/// The leases that a reply names, as their worker knows them.
std::vector<std::string> leases_in(JobReply& reply) {
  std::vector<std::string> ids;
  (void)for_each_tensor(reply, [&](TensorRef& tensor, const std::string&) {
    const auto* handle = std::get_if<CudaHandle>(&tensor.place);
    if (handle && !handle->lease_id.empty()) ids.push_back(handle->lease_id);
    return Status();
  });
  return ids;
}

}  // namespace

Status JobFlow::plain_handles(JobRequest& request) {
  return for_each_tensor(request, [](TensorRef& tensor, const std::string& name) -> Status {
    auto* handle = std::get_if<CudaHandle>(&tensor.place);
    if (!handle || handle->descriptor) return {};
    Result<std::string> plain = plain_ipc_handle(handle->handle);
    if (!plain.ok()) return plain.status().with_context(name);
    handle->handle = *std::move(plain);
    return {};
  });
}

Status JobFlow::choose_device(const Caller& caller, JobRequest& request, JobRecord& record) const {
  const CudaTable& cuda = state_->cuda;
  const bool proving = std::holds_alternative<ProveCudaRequest>(request);
  std::string first;
  LUNA_RETURN_IF_ERROR(
      for_each_tensor(request, [&](TensorRef& tensor, const std::string& name) -> Status {
        const auto* handle = std::get_if<CudaHandle>(&tensor.place);
        if (!handle) return {};
        if (caller.session_id.empty()) return needs_session(name + ": a CUDA handle");
        if (record.device_uuid.empty()) {
          record.device_uuid = handle->device_uuid;
          first = name;
        } else if (record.device_uuid != handle->device_uuid) {
          return error(StatusCode::kInvalidArgument,
                       "the GPU memory of one call must be on one device; {} is on {}, {} on {}",
                       first, record.device_uuid, name, handle->device_uuid);
        }
        if (!handle->lease_id.empty()) {
          LUNA_RETURN_IF_ERROR(cuda.check(caller.session_id, handle->lease_id).with_context(name));
          record.leases.push_back(handle->lease_id);
        }
        // A descriptor is the memory itself; only what a handle names could be something else.
        if (proving || handle->descriptor || cuda.proved(caller.session_id, handle->device_uuid))
          return {};
        return error(StatusCode::kFailedPrecondition,
                     "{}: this session has not proved that memory of {} passes between it and the "
                     "daemon; Tensors.ProveCuda does",
                     name, handle->device_uuid);
      }));
  if (const auto* lease = std::get_if<LeaseCudaRequest>(&request)) {
    if (caller.session_id.empty()) return needs_session("a lease of GPU memory");
    record.device_uuid = lease->device_uuid;
  }
  if (caller.cuda_results) {
    LUNA_RETURN_IF_ERROR(place_results(caller, request, record));
  }
  if (record.device_uuid.empty() || state_->workers.has_device(record.role, record.device_uuid))
    return {};
  return no_device(record.seat());
}

Status JobFlow::place_results(const Caller& caller, const JobRequest& request,
                              JobRecord& record) const {
  const std::vector<std::string> devices = state_->cuda.devices(caller.session_id);
  if (devices.empty()) {
    return error(StatusCode::kFailedPrecondition,
                 "metadata luna-results: this session has not proved that memory of a GPU passes "
                 "between it and the daemon (Tensors.ProveCuda); send no luna-results, or host");
  }
  // What stays on the server has no place that a client could read.
  if (wants_keep(request)) return {};
  if (record.device_uuid.empty()) {
    for (const std::string& uuid : devices) {
      if (!state_->workers.has_device(record.role, uuid)) continue;
      record.device_uuid = uuid;
      break;
    }
  }
  record.cuda_results = state_->cuda.proved(caller.session_id, record.device_uuid);
  return {};
}

Status JobFlow::no_device(const Seat& seat) const {
  return error(StatusCode::kFailedPrecondition, "no worker{} is on {}; the GPUs of workers: {}",
               seat.role ? fmt::format(" of role '{}'", role_name(*seat.role)) : "",
               seat.device_uuid, state_->workers.devices_in_words());
}

void JobFlow::end_lost_devices(Deferred& after) {
  for (const JobId id : state_->jobs.queued_for_devices()) {
    const JobRecord& record = *state_->jobs.find(id);
    Status why;
    for (const std::string& lease : record.leases) {
      if (state_->cuda.check(record.session, lease).code() == StatusCode::kDataLoss)
        why = state_->cuda.check(record.session, lease);
    }
    if (why.ok() && !state_->workers.has_device(record.role, record.device_uuid))
      why = no_device(record.seat());
    if (!why.ok()) finish(id, why, after);
  }
}

Result<JobReply> JobFlow::name_leases(const JobRecord& record, JobReply reply, Deferred& after) {
  const std::vector<std::string> made = leases_in(reply);
  if (made.empty()) return reply;
  const auto port = record.worker ? state_->workers.port(*record.worker) : nullptr;
  std::vector<std::string> named;
  Status status = state_->sessions.check(record.session);
  if (status.ok()) {
    status = for_each_tensor(reply, [&](TensorRef& tensor, const std::string&) -> Status {
      auto* handle = std::get_if<CudaHandle>(&tensor.place);
      if (!handle || handle->lease_id.empty()) return {};
      LUNA_RETURN_IF_ERROR(state_->cuda.add(record.session, *record.worker, record.worker_life,
                                            tensor.spec.byte_size(), *handle));
      named.push_back(handle->lease_id);
      return {};
    });
  }
  if (auto* proof = std::get_if<ProveCudaReply>(&reply); proof && status.ok()) {
    status = state_->cuda.expect(record.session, named.front(), std::exchange(proof->expected, {}));
  }
  if (status.ok()) return reply;
  (void)state_->cuda.free(named);
  if (port) after.add([port, made] { port->release_leases(made); });
  return status;
}

void JobFlow::give_back(const std::shared_ptr<WorkerPort>& port, Result<JobReply>& result) {
  if (!port || !result.ok()) return;
  if (const std::vector<std::string> made = leases_in(*result); !made.empty())
    port->release_leases(made);
}

void JobFlow::release(const CudaTable::Releases& releases, Deferred& after) {
  std::map<WorkerId, std::vector<std::string>> by_worker;
  for (const CudaTable::AtWorker& lease : releases) {
    if (state_->workers.life(lease.worker) == lease.life)
      by_worker[lease.worker].push_back(lease.lease_id);
  }
  for (auto& [worker, ids] : by_worker) {
    if (auto port = state_->workers.port(worker)) {
      after.add([port = std::move(port), ids = std::move(ids)] { port->release_leases(ids); });
    }
  }
}

void JobFlow::end_session_on_devices(const std::string& session, Deferred& after) {
  // The workers are told of the session as a whole.
  (void)state_->cuda.close(session);
  for (auto& port : state_->workers.gpu_ports()) {
    after.add([port = std::move(port), session] { port->end_session(session); });
  }
}

}  // namespace luna::front
