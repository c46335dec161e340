#include "daemon/ipc/protocol/message_name.h"

#include <array>

#include "daemon/ipc/protocol/messages.h"

namespace luna::ipc {

std::string_view message_name(std::size_t number) {
  static constexpr std::array<std::string_view, 18> kNames = {
      "WorkerToFrontHello",       "FrontToWorkerWelcome",       "WorkerToFrontReady",
      "FrontToWorkerRun",         "FrontToWorkerCancel",        "FrontToWorkerDrain",
      "WorkerToFrontProgress",    "WorkerToFrontDone",          "WorkerToFrontHeartbeat",
      "WorkerToFrontSeekWeights", "FrontToWorkerWeights",       "WorkerToFrontOfferWeights",
      "WorkerToFrontReadFailed",  "FrontToWorkerPins",          "FrontToWorkerOpenSteps",
      "WorkerToFrontStepsEnded",  "FrontToWorkerReleaseLeases", "FrontToWorkerEndSession"};
  static_assert(kNames.size() == std::variant_size_v<Message>);
  return number < kNames.size() ? kNames[number] : "unknown message";
}

}  // namespace luna::ipc
