#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/types/info.h"
#include "daemon/front/core/clock.h"
#include "daemon/front/core/worker_port.h"

namespace luna::front {

/// The workers, their states and what they have loaded; chooses one for a job. Not thread-safe.
class WorkerTable {
 public:
  void starting(WorkerId id, std::string pool, std::int64_t pid, TimePoint now);
  void ready(std::shared_ptr<WorkerPort> port, std::string device, TimePoint now);
  /// False for a worker that is not known.
  bool report(WorkerId id, WorkerReport report, TimePoint now);
  /// How many of its jobs went back to the queue since it answered UNAVAILABLE.
  std::uint32_t gone(WorkerId id, const std::string& why, bool will_restart, bool stopping);

  /// It answered UNAVAILABLE: nothing goes there until it reports again or is started anew.
  void suspect(WorkerId id);

  /// The ready worker with the least to do; one that has the job's files loaded, or was given them,
  /// wins while its lead in jobs is at most kPreference. nullopt when every worker is full or none
  /// is ready.
  std::optional<WorkerId> choose(const std::vector<std::string>& files) const;
  static constexpr std::uint32_t kPreference = 4;

  /// A job goes to the worker, or has ended there.
  std::shared_ptr<WorkerPort> take(WorkerId id, const std::vector<std::string>& files);
  void release(WorkerId id);

  /// True while some worker is ready or may become so; also before the first one was started.
  bool hope() const;
  /// How the last worker ended, for messages when there is no hope.
  const std::string& last_exit() const { return last_exit_; }
  std::vector<WorkerId> ready_ids() const;
  std::shared_ptr<WorkerPort> port(WorkerId id) const;
  std::vector<WorkerInfo> list(TimePoint now) const;
  /// The hash of the component of `slot` that some worker loaded from `path`; "" when none has.
  std::string content_hash(const std::string& path, Slot slot) const;

 private:
  struct Worker {
    WorkerInfo info;
    std::shared_ptr<WorkerPort> port;
    bool routable = false;
    std::uint32_t jobs = 0;
    std::uint32_t handed_back = 0;
    std::set<std::string> files;  ///< given to it since it started
    TimePoint heard;
  };
  static bool has_all(const Worker& worker, const std::vector<std::string>& files);

  std::map<WorkerId, Worker> workers_;
  std::string last_exit_;
};

}  // namespace luna::front
