#pragma once

#include <functional>

#include "common/base/status.h"
#include "common/base/unique_fd.h"
#include "daemon/ipc/session/link_options.h"

namespace luna::ipc {

/// A worker whose replies are made of the requests: tensors come back as they went in, texts and
/// paths as warnings, families or sizes. A TokenizeRequest's text may be an order:
///   "hang"      ends when it is cancelled
///   "deaf"      ends never, not even when it is cancelled
///   "die"       calls `die`
/// Serves until the link closes, and returns why it did.
Status serve_as_echo_worker(UniqueFd fd, LinkOptions options, std::function<void()> die);

}  // namespace luna::ipc
