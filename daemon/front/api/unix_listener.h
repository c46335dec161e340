#pragma once

#include <string>

#include <sys/types.h>

#include "common/base/status.h"

namespace luna::front {

/// Makes the way free for a socket at `path`: creates its folder (0700) where there is none, and
/// removes a socket that nobody listens on any more. ALREADY_EXISTS when somebody does, or when the
/// file is no socket; INVALID_ARGUMENT for a path that is too long for a socket.
Status prepare_socket_path(const std::string& path);

/// While one lives, files of this process are created for their owner only.
class PrivateFiles {
 public:
  PrivateFiles();
  ~PrivateFiles();
  PrivateFiles(const PrivateFiles&) = delete;
  PrivateFiles& operator=(const PrivateFiles&) = delete;

 private:
  mode_t before_;
};

}  // namespace luna::front
