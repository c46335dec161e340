#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/types/host_weights.h"
#include "common/types/job.h"
#include "common/types/report.h"
#include "common/types/steps.h"
#include "common/types/worker_settings.h"

namespace luna::ipc {

/// Raised with every change of a message below; both ends must have the same.
inline constexpr std::uint32_t kProtocolVersion = 7;

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

/// Is there a host copy of this component? Answered with FrontToWorkerWeights of the same number,
/// which may take as long as another worker reads it. Without weights in the answer this worker
/// reads the file, and ends that with WorkerToFrontOfferWeights or WorkerToFrontReadFailed.
struct WorkerToFrontSeekWeights {
  std::uint64_t seek = 0;
  ComponentSource source;
};
struct FrontToWorkerWeights {
  std::uint64_t seek = 0;
  std::optional<HostWeights> weights;
};
/// What the worker read; the front may keep it for others and for the worker's next life.
struct WorkerToFrontOfferWeights {
  ComponentSource source;
  HostWeights weights;
};
/// What the worker sought it could not read either; whoever waits for it need not any more.
struct WorkerToFrontReadFailed {
  ComponentSource source;
};
/// The files whose components the worker never evicts or unloads: all of them, in place of what it
/// was told before.
struct FrontToWorkerPins {
  std::vector<std::string> paths;
};
/// Leases of the worker's outbox that clients are done with.
struct FrontToWorkerReleaseLeases {
  std::vector<std::string> lease_ids;
};
/// The session is over: its leases end, and what it alone had brought in is closed.
struct FrontToWorkerEndSession {
  std::string session;
};

/// Serve this client's step socket. The front keeps a descriptor of it and ends it by shutdown():
/// of its reading side, and what runs is answered first; of both, and it is cancelled.
struct FrontToWorkerOpenSteps {
  StepsOpening opening;
  BytesPtr socket;  ///< descriptor_alone()
};
/// The last word on a step socket, for whatever reason it has ended.
struct WorkerToFrontStepsEnded {
  StepsId steps;
  std::uint64_t evaluations = 0;  ///< answered ones
};

/// The index is the message's number on the wire.
using Message =
    std::variant<WorkerToFrontHello, FrontToWorkerWelcome, WorkerToFrontReady, FrontToWorkerRun,
                 FrontToWorkerCancel, FrontToWorkerDrain, WorkerToFrontProgress, WorkerToFrontDone,
                 WorkerToFrontHeartbeat, WorkerToFrontSeekWeights, FrontToWorkerWeights,
                 WorkerToFrontOfferWeights, WorkerToFrontReadFailed, FrontToWorkerPins,
                 FrontToWorkerOpenSteps, WorkerToFrontStepsEnded, FrontToWorkerReleaseLeases,
                 FrontToWorkerEndSession>;

}  // namespace luna::ipc
