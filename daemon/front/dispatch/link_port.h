#pragma once

#include <memory>

#include "daemon/front/core/worker_port.h"
#include "daemon/ipc/session/worker_link.h"

namespace luna::front {

/// The core's port to the worker at the other end of `link`.
std::shared_ptr<WorkerPort> make_link_port(WorkerId id, std::shared_ptr<ipc::WorkerLink> link);

}  // namespace luna::front
