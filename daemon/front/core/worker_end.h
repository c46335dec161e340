#pragma once

#include <string>
#include <string_view>

namespace luna::front {

/// How a worker ended. The kind decides what becomes of its jobs, and whether the worker or a
/// request is to blame (docs/decisions/0006-poison-requests.md); `how` is for people.
struct WorkerEnd {
  enum class Kind {
    kCrash,        ///< SIGSEGV, SIGABRT and the like, an exit nobody asked for, a device error
    kOutOfMemory,  ///< the kernel's out-of-memory kill
    kHang,         ///< no heartbeat, a step beyond its limit, not ready in time
    kFromOutside,  ///< a signal of somebody else's
    kAsked,        ///< drained, or ended with the daemon
  };
  Kind kind = Kind::kCrash;
  std::string how;                ///< "killed by signal 11 (Segmentation fault)"
  bool replaced_at_once = false;  ///< another process stands by in its place, ready in a moment

  /// By a fault of its own: twice under one request, and that request is refused.
  bool is_fault() const { return kind == Kind::kCrash || kind == Kind::kOutOfMemory; }
  /// The cause may be one of the jobs that it had.
  bool suspicious() const { return is_fault() || kind == Kind::kHang; }
  /// "crash: killed by signal 11 (Segmentation fault)".
  std::string in_words() const;
};

/// "crash", "out of memory", "hang", "killed from outside", "asked to end".
std::string_view worker_end_name(WorkerEnd::Kind kind);

}  // namespace luna::front
