#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace luna::client {

/// Where this user's sockets lie: $XDG_RUNTIME_DIR/luna, else /tmp/luna-<uid>.
std::string runtime_folder();

/// Sockets at which this user's daemon may listen, likeliest first: the one in runtime_folder(),
/// and /tmp/luna-<uid>/lunad.sock for a daemon that was started without XDG_RUNTIME_DIR.
std::vector<std::string> user_sockets();

/// INVALID_ARGUMENT unless it is "unix:/path" (absolute, short enough for a socket) or "host:port".
Status check_address(const std::string& address);

/// "/path" of "unix:/path"; empty for a TCP address.
std::string socket_path(const std::string& address);

/// Whether somebody accepts connections at this path, now.
bool socket_answers(const std::string& path);

}  // namespace luna::client
