#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/types/job.h"
#include "common/types/report.h"
#include "common/types/worker_settings.h"

namespace luna::ipc {

/// Raised with every change of a message below; both ends must have the same.
inline constexpr std::uint32_t kProtocolVersion = 1;

struct WorkerToFrontHello {
  std::uint32_t protocol_version = kProtocolVersion;
  std::int64_t pid = 0;
};
struct FrontToWorkerWelcome {
  std::uint32_t protocol_version = kProtocolVersion;
  WorkerId worker;
  WorkerSettings settings;
};
/// The worker has its device and can take jobs; or the reason why it never will.
struct WorkerToFrontReady {
  Status status;
  std::string device;  ///< "cpu (2 threads)", "cuda:0 NVIDIA H200"
};
struct FrontToWorkerRun {
  Job job;  ///< the deadline travels as the time that is left
};
struct FrontToWorkerCancel {
  JobId job;
};
/// Finish what runs, take nothing new, then exit with 0.
struct FrontToWorkerDrain {};
struct WorkerToFrontProgress {
  JobId job;
  SampleProgress progress;
};
struct WorkerToFrontDone {
  JobId job;
  Result<JobReply> result = Status(StatusCode::kInternal, "no result");
};
struct WorkerToFrontHeartbeat {
  WorkerReport report;
};

/// The index is the message's number on the wire.
using Message = std::variant<WorkerToFrontHello, FrontToWorkerWelcome, WorkerToFrontReady,
                             FrontToWorkerRun, FrontToWorkerCancel, FrontToWorkerDrain,
                             WorkerToFrontProgress, WorkerToFrontDone, WorkerToFrontHeartbeat>;

}  // namespace luna::ipc
