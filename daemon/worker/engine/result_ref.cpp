#include "daemon/worker/engine/result_ref.h"

#include "common/log/log.h"

namespace luna::worker {

at::Device result_device(const TaskServices& services, const TaskTicket& ticket) {
  return ticket.cuda_results && services.plane ? services.device : at::Device(at::kCPU);
}

Result<TensorRef> result_ref(const at::Tensor& tensor, const TaskServices& services,
                             const TaskTicket& ticket) {
  if (ticket.cuda_results && services.plane && tensor.numel() > 0) {
    Result<TensorRef> sent = services.plane->send_out(tensor, ticket.session);
    if (sent.ok()) {
      ticket.leases->push_back(std::get<CudaHandle>(sent->place).lease_id);
      return sent;
    }
    if (sent.status().code() != StatusCode::kResourceExhausted) return sent.status();
    log::logger("engine").debug("a result goes by the host: {}", sent.status().message());
  }
  return tensor_ref_of(tensor, ticket.make_bytes ? ticket.make_bytes : services.make_bytes);
}

}  // namespace luna::worker
