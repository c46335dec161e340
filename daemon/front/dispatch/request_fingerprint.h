#pragma once

#include <string>

#include "common/types/job.h"

namespace luna::front {

/// A Fingerprinter (daemon/front/core/fingerprint.h): SHA-256 over the job as daemon/ipc encodes
/// it, without what does not decide the result, with every tensor's bytes in place of where they
/// lie, and with the identity (inode, size, times) of every file it names, so that a file that was
/// replaced makes it another request.
std::string request_fingerprint(const Job& job);

}  // namespace luna::front
