#pragma once

#include <memory>

#include "daemon/ipc/session/front_link.h"
#include "daemon/worker/weights/host_copies.h"

namespace luna::worker {

/// The front's host copies, over the control socket. A question that is not answered within
/// `patience` counts as "there is none": the file is read then. The front answers when another
/// worker has read the same, and ends that wait itself ([memory] shared_read_wait_ms, 10 minutes at
/// most).
std::shared_ptr<HostCopies> make_linked_copies(
    std::shared_ptr<ipc::FrontLink> link,
    std::chrono::milliseconds patience = std::chrono::minutes(11));

}  // namespace luna::worker
