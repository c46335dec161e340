#pragma once

#include <grpcpp/support/status.h>

#include "common/base/status.h"

namespace luna::front {

/// The one place where a Status becomes what a call ends with. The message is cut to what a trailer
/// holds.
grpc::Status to_grpc(const Status& status);

}  // namespace luna::front
