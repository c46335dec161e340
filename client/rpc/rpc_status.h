#pragma once

#include <string>

#include <grpcpp/support/status.h>

#include "common/base/status.h"

namespace luna::client {

/// The one place where what a call ended with becomes a Status. lunad's own sentences pass
/// unchanged; those of the transport (no connection, deadline, size) become ones that say what to
/// do, with the address.
Status from_grpc(const grpc::Status& status, const std::string& address);

}  // namespace luna::client
