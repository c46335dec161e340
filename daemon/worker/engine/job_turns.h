#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace luna::worker {

/// Turns of a workflow's jobs, so that a call of many rows does not keep newer ones of its own
/// workflow waiting until it ends. A job's turn is kRowsOfATurn rows; who has had fewer turns goes
/// first, then the older. One that comes begins with as many as the others have had at least. Jobs
/// are told by address, which is never followed.
class JobTurns {
 public:
  static constexpr std::uint64_t kRowsOfATurn = 64;

  /// Harmless when it is known.
  void enter(const void* job, const std::string& workflow);
  void leave(const void* job) { jobs_.erase(job); }
  void served(const void* job, std::uint64_t rows);
  /// Turns that it has had to the full.
  std::uint64_t had(const void* job) const;

 private:
  struct Job {
    std::string workflow;
    std::uint64_t rows = 0;
  };
  std::map<const void*, Job> jobs_;
};

}  // namespace luna::worker
