#pragma once

namespace luna::front {

/// What lunad tells its caller; listed in --help and lunad.md.
enum class ExitCode : int {
  kEnded = 0,        ///< it was asked to, or idle; running calls were finished
  kCannotStart = 1,  ///< an address, a root or the worker program is missing
  kWrongUse = 2,     ///< a command line or a configuration that makes no sense
  kCutShort = 3,     ///< calls were still running: a second signal, or drain_seconds were over
  kAlreadyRunning = 4,
};

}  // namespace luna::front
