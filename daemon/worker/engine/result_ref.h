#pragma once

#include "daemon/worker/engine/task.h"

namespace luna::worker {

/// Where the bytes of a job's results are made: on the device for one whose results leave by the
/// device's plane, else on the host.
at::Device result_device(const TaskServices& services, const TaskTicket& ticket);

/// A result of the ticket's job as it leaves the worker: in the outbox where the job asks for that
/// and the outbox has room, else in bytes on the host. The place of the reference says which.
Result<TensorRef> result_ref(const at::Tensor& tensor, const TaskServices& services,
                             const TaskTicket& ticket);

}  // namespace luna::worker
