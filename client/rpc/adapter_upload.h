#pragma once

#include <string>

#include "client/rpc/connection.h"

namespace luna::client {

/// Puts a LoRA file of this machine on the server, unless it has the same content already. What
/// LoraRef::path takes there. NOT_FOUND for no such file, DATA_LOSS when it changes meanwhile, and
/// what the server answers. A second a MiB and a minute are its deadline.
Result<std::string> upload_adapter(RpcConnection& connection, const std::string& path);

}  // namespace luna::client
