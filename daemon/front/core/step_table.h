#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/strong_id.h"

namespace luna::front {

/// The step sockets that workers serve for clients, and what was evaluated over them. A socket
/// belongs to a session and to one registration of a workflow. Not thread-safe.
class StepTable {
 public:
  explicit StepTable(std::uint32_t max_per_session) : max_per_session_(max_per_session) {}

  struct Socket {
    StepsId id;
    std::string session, workflow;
    WorkerId worker;
    std::uint64_t evaluations = 0;
    bool told = false;     ///< its worker knows of it, so that it can be told of the end
    bool closing = false;  ///< its worker is told to end it, or will be as soon as it knows of it
    bool at_once = false;
  };

  /// RESOURCE_EXHAUSTED when the session has as many as it may.
  Result<StepsId> open(const std::string& session, const std::string& workflow, WorkerId worker);
  /// Its worker has been told. The socket when it must end all the same.
  const Socket* told(StepsId id);
  /// Marks those that `which` picks as closing; those whose workers are to be told now.
  std::vector<Socket> close(const std::function<bool(const Socket&)>& which, bool at_once);
  /// It has ended, after so many evaluations.
  void ended(StepsId id, std::uint64_t evaluations);
  /// All of this worker have.
  void worker_gone(WorkerId worker);
  /// What a worker says of its sockets. The workflows of those that were used since.
  std::vector<std::string> count(const std::map<std::uint64_t, std::uint64_t>& evaluations);

  std::uint32_t open_sockets() const;
  std::uint64_t evaluations() const { return evaluations_; }

 private:
  /// True when there were more than before.
  bool count(Socket& socket, std::uint64_t evaluations);

  const std::uint32_t max_per_session_;
  std::map<StepsId, Socket> sockets_;
  std::uint64_t last_id_ = 0;
  std::uint64_t evaluations_ = 0;
};

}  // namespace luna::front
