#pragma once

#include "client/cli/settings.h"
#include "client/include/luna/client/client.h"

namespace luna::client {

/// A file that lies here becomes an absolute path when the daemon is on this machine (`local`); any
/// other name stays as it is, for the daemon to find below its roots.
std::string model_file(const std::string& named, bool local);

/// The settings as a request: model files as model_file() says, pictures read from disk.
Result<GenerateRequest> generate_request(const Settings& settings, bool local);

/// The first checkpoint below the roots, when none was named; `count` is how many there are.
/// NOT_FOUND when there is none.
Result<std::string> default_checkpoint(AdminService& admin, std::size_t* count);

}  // namespace luna::client
