#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/rpc/call_state.h"
#include "client/rpc/step_socket.h"

namespace luna::client {

/// The step sockets of one connection, opened when first needed: as many of a workflow as it has
/// evaluations at a time, so that these can share forwards. Thread-safe.
class StepPool {
 public:
  static constexpr std::size_t kMostSockets = 8;
  /// After a failure to open one of a workflow its evaluations go over gRPC for so long.
  static constexpr std::chrono::milliseconds kPause{1000};

  using Open = std::function<Result<UniqueFd>(const std::string& workflow,
                                              const std::vector<std::string>& lora_files)>;
  explicit StepPool(Open open) : open_(std::move(open)) {}

  /// Whether an evaluation can go over a step socket: its tensors have their bytes, and nothing is
  /// kept on the server.
  static bool takes(const DenoiseRequest& request);

  /// Evaluates over a socket; over a new one where that ended (its worker died, the workflow has
  /// another set of models). nullopt: no socket could be had, and the call is to be made over gRPC,
  /// which also tells why. Blocks.
  std::optional<Result<DenoiseReply>> evaluate(const CallOptions& options,
                                               const DenoiseRequest& request, CallState& call);

 private:
  struct Entry {
    std::string workflow;
    std::set<std::string> lora_files;
    std::shared_ptr<StepSocket> socket;
  };
  std::optional<Entry> take(const std::string& workflow, const std::set<std::string>& lora_files);
  void put_back(Entry entry);
  void forget();

  const Open open_;
  std::mutex mutex_;
  std::vector<Entry> idle_;
  std::size_t open_sockets_ = 0;  ///< idle or in use
  std::map<std::string, Deadline> paused_;
};

}  // namespace luna::client
