#pragma once

#include "common/base/status.h"

namespace luna::client {

/// What `luna` ends with; in `luna --help` too.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,         ///< the work failed, or `luna doctor` found a problem
  kExitUsage = 2,          ///< wrong arguments, a bad request, a file that is not there
  kExitUnreachable = 3,    ///< no daemon answers
  kExitInterrupted = 130,  ///< Ctrl-C
};

int exit_code_of(const Status& status);

}  // namespace luna::client
