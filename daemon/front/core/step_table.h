#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/unique_fd.h"
#include "common/types/steps.h"

namespace luna::front {

/// The step sockets that workers serve for clients, and what was evaluated over them. A socket
/// belongs to a session and to one registration of a workflow. The table has a descriptor of the
/// worker's end, so that ending one acts at once, whatever the worker is busy with. Not
/// thread-safe.
class StepTable {
 public:
  explicit StepTable(std::uint32_t max_per_session) : max_per_session_(max_per_session) {}

  /// `served`: a duplicate of the worker's end. RESOURCE_EXHAUSTED when the session has as many as
  /// it may.
  Result<StepsId> open(const std::string& session, const std::string& workflow, WorkerId worker,
                       UniqueFd served);
  enum class Ending {
    kAnswerFirst,  ///< what runs is answered; what the client sends from now on fails
    kAtOnce,       ///< what runs is cancelled
  };
  void end_of_session(const std::string& session);
  void end_of_workflow(const std::string& workflow);
  void end_all();
  /// Its worker says so: it has ended, after so many evaluations.
  void ended(StepsId id, std::uint64_t evaluations);
  void worker_gone(WorkerId worker);
  /// What a worker says of its sockets. The workflows of those that were used since.
  std::vector<std::string> count(const std::map<std::uint64_t, std::uint64_t>& evaluations);

  std::uint32_t open_sockets() const;
  std::uint64_t evaluations() const { return evaluations_; }

 private:
  struct Socket {
    std::string session, workflow;
    WorkerId worker;
    UniqueFd served;
    std::uint64_t evaluations = 0;
    bool ending = false;
  };
  void end(const std::function<bool(const Socket&)>& which, Ending ending);
  /// True when there were more than before.
  bool count(Socket& socket, std::uint64_t evaluations);

  const std::uint32_t max_per_session_;
  std::map<StepsId, Socket> sockets_;
  std::uint64_t last_id_ = 0;
  std::uint64_t evaluations_ = 0;
};

}  // namespace luna::front
