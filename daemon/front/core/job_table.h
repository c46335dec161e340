#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/config/config.h"
#include "common/types/info.h"
#include "common/types/job.h"
#include "common/types/role.h"
#include "daemon/front/core/clock.h"

namespace luna::front {

/// What decides which workers may take a job.
struct Seat {
  std::optional<Role> role;      ///< nullopt: any will do
  std::string device_uuid = {};  ///< of the GPU that its tensors are on; "": any device
  auto operator<=>(const Seat&) const = default;
};

/// A job from its admission to its end.
struct JobRecord {
  std::shared_ptr<const Job> job;
  JobEvents events;
  std::string session;  ///< of the caller; "" when it has none
  bool keep = false;
  bool internal = false;  ///< the front's own (inspecting a file): in no limit and no total
  TimePoint admitted{};
  bool calls_workflow = false;           ///< counted by the registry as a call under way
  std::vector<std::string> files;        ///< that it needs loaded, for routing
  std::optional<Role> role;              ///< that its worker must have; nullopt: any will do
  std::optional<WorkerId> pinned;        ///< only this worker will do
  std::string device_uuid = {};          ///< only a worker on this GPU will do; "": any
  std::vector<std::string> leases = {};  ///< of GPU memory, that it reads
  bool cuda_results = false;

  std::optional<WorkerId> worker;  ///< where it runs; empty: queued, or orphaned
  std::uint64_t worker_life = 0;
  bool orphaned = false;  ///< its worker answered UNAVAILABLE, and why is not known yet
  bool sent = false;      ///< the port has it, so that a cancel can follow
  bool cancel_requested = false;
  std::uint32_t runs = 0;       ///< how often it was given to a worker
  std::uint32_t not_begun = 0;  ///< of these, the ones that reached no worker
  bool suspect = false;         ///< a worker died under it: it runs alone
  std::string fingerprint;      ///< "" as long as nobody had to ask
  int last_step = 0;            ///< progress that the client has seen; a re-run repeats none of it

  Seat seat() const { return {role, device_uuid}; }
  /// Workers that died under it.
  std::uint32_t deaths() const { return runs - not_begun; }
};

/// All unfinished jobs, and the order in which those that wait get a worker: priority first, then
/// the workflow with the fewest running jobs, then age. Suspects have a queue of their own. Not
/// thread-safe.
class JobTable {
 public:
  explicit JobTable(const Config::Limits& limits) : limits_(limits) {}

  /// RESOURCE_EXHAUSTED with "retry in N ms" when the workflow's or the whole queue is full.
  Status check_room(const std::string& workflow) const;
  JobId next_id() { return JobId{++last_id_}; }

  /// Puts it in the queue (a pinned one only in the table).
  JobRecord& add(JobRecord record);
  JobRecord* find(JobId id);
  /// Takes the job out of the table; it must be there.
  JobRecord remove(JobId id, TimePoint now);

  /// The queued job that is next, suspects and jobs of the seats `full` aside; nullptr when none
  /// waits.
  JobRecord* next_queued(const std::set<Seat>& full = {});
  /// The suspect that is next; nullptr when none waits, or one is running: they go one at a time.
  JobRecord* next_suspect();
  bool has_suspects() const { return running_suspect_ || !waiting_suspects_.empty(); }
  void to_worker(JobRecord& record, WorkerId worker, std::uint64_t life);
  /// Its worker is gone or may be; to_queue() or remove() follows.
  void to_orphans(JobRecord& record);
  void to_queue(JobRecord& record);

  std::vector<JobId> all() const;
  std::vector<JobId> queued() const;
  std::vector<JobId> queued(std::optional<Role> role) const;
  /// Those that need a GPU of their own and wait for it.
  std::vector<JobId> queued_for_devices() const;
  /// How many wait for a worker of this role.
  std::uint64_t waiting(std::optional<Role> role) const;
  /// Queued jobs whose deadline has passed.
  std::vector<JobId> overdue() const;
  std::vector<JobId> of_session(const std::string& session) const;

  bool empty() const { return records_.empty(); }
  JobTotals totals() const;
  /// Clients' jobs that wait, for FrontCore::status.
  std::vector<QueueInfo> queues(TimePoint now) const;
  /// The counters of ended jobs, for the one who ends them.
  JobTotals& counters() { return totals_; }

 private:
  /// By workflow and seat, the oldest first.
  using Waiting = std::map<std::pair<std::string, Seat>, std::set<JobId>>;
  std::uint64_t retry_hint_ms() const;
  void add_waiting(const JobRecord& record);
  void drop_waiting(const JobRecord& record);
  void end_run(const JobRecord& record);

  const Config::Limits& limits_;
  std::uint64_t last_id_ = 0;
  std::map<JobId, JobRecord> records_;
  std::set<JobId> for_devices_;  ///< those with a device_uuid
  std::map<Priority, Waiting> waiting_;
  std::set<std::pair<Priority, JobId>> waiting_suspects_;
  std::optional<JobId> running_suspect_;
  std::map<std::string, std::uint32_t> running_;     ///< by workflow
  std::map<std::string, std::uint32_t> unfinished_;  ///< by workflow, clients' jobs only
  std::uint32_t unfinished_total_ = 0;
  JobTotals totals_;
  TimePoint last_end_{};
  double seconds_between_ends_ = 0.25;  ///< moving average
};

}  // namespace luna::front
