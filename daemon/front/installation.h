#pragma once

#include <string>

#include "common/config/config.h"

namespace luna::front {

/// The folder of the running program.
std::string program_folder();

/// $XDG_RUNTIME_DIR/luna/lunad.sock, else /tmp/luna-<uid>/lunad.sock.
std::string default_socket();

/// Fills what the configuration leaves to the installation: the socket, luna-worker in `folder`
/// (program_folder()), and CLIP's vocabulary (../share/luna/clip_merges.txt from `folder`,
/// $LUNA_SHARE/clip_merges.txt, ~/.cache/luna/clip_merges.txt; "" when none of them is there).
Config with_installed_paths(Config config, const std::string& folder);

}  // namespace luna::front
