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
#include "daemon/front/core/pool_load.h"
#include "daemon/front/core/worker_end.h"
#include "daemon/front/core/worker_port.h"

namespace luna::front {

/// The workers, their states and what they have loaded; chooses one for a job. Not thread-safe.
class WorkerTable {
 public:
  using Jobs = std::vector<std::shared_ptr<const Job>>;

  /// What the pools are for and how many workers they may have; a worker of a pool that nobody
  /// described has every role.
  void describe_pool(PoolInfo pool);

  void starting(WorkerId id, std::string pool, std::int64_t pid, TimePoint now);
  void ready(std::shared_ptr<WorkerPort> port, std::string device, TimePoint now);
  /// False for a worker that is not known.
  bool report(WorkerId id, WorkerReport report, TimePoint now);
  /// Its end is known. It may be started again, until given_up(). One that is replaced at once is
  /// expected back for kExpected.
  void gone(WorkerId id, const WorkerEnd& end, bool stopping, TimePoint now);
  static constexpr std::chrono::milliseconds kExpected{1000};
  /// It stays down; one that was retired is forgotten.
  void given_up(WorkerId id, bool stopping);
  /// It gets no job from now on. False, and nothing changes, when it has some, runs a suspect, or
  /// is not ready.
  bool retire(WorkerId id);

  /// It answered a job with UNAVAILABLE: nothing goes there until it reports again or is started
  /// anew, and the job waits for what is found out (take_orphans). False when that life of the
  /// worker was over before: then the job never reached it.
  bool orphan(WorkerId id, std::uint64_t life, std::shared_ptr<const Job> job);
  /// The jobs that orphan() kept; none are left.
  Jobs take_orphans(WorkerId id);

  /// What a job asks of its worker.
  struct Wish {
    const std::vector<std::string>& files;
    std::optional<Role> role;  ///< nullopt: any will do
    bool at_hand = false;      ///< host copies of the files are there: no worker would read them
    std::string device_uuid = {};  ///< only a worker on this GPU; "": any
  };
  /// The ready worker of the role with the least to do; one that has the job's files loaded, or was
  /// given them, wins while it has at most kPreference jobs more, or kPreferenceAtHand. nullopt
  /// when every worker is full, none is ready, or the best is one that is expected back: the job
  /// shall wait for it. Never the isolated one.
  std::optional<WorkerId> choose(const Wish& wish, TimePoint now) const;
  static constexpr std::uint32_t kPreference = 4;
  static constexpr std::uint32_t kPreferenceAtHand = 1;

  /// A worker for a job that must run alone: an empty one, best with its files, which gets nothing
  /// else until end_isolation(). nullopt when none is empty: the one with the least to do is kept
  /// free of new jobs meanwhile. One at a time.
  std::optional<WorkerId> isolate(const std::vector<std::string>& files, std::optional<Role> role,
                                  const std::string& device_uuid = {});
  void end_isolation() { isolated_.reset(); }

  /// A job goes to the worker, or has ended there.
  std::shared_ptr<WorkerPort> take(WorkerId id, const std::vector<std::string>& files);
  void release(WorkerId id, std::uint64_t life, TimePoint now);
  /// It did work that is no job of the front's.
  void used(WorkerId id, TimePoint now);
  /// Which of its starts the worker lives in; 0 for one that is not known.
  std::uint64_t life(WorkerId id) const;

  /// Whether a pool has the role at all.
  bool serves(std::optional<Role> role) const;
  /// True while some worker of the role is ready or may become so, or one more can be started; also
  /// before the first one was.
  bool hope(std::optional<Role> role) const;
  /// Whether a worker of the role is on this GPU, or will be again in a moment.
  bool has_device(std::optional<Role> role, const std::string& device_uuid) const;
  /// The GPUs of workers as messages name them: "GPU-... (cuda:0 NVIDIA H200; clip, vae)"; "none".
  std::string devices_in_words() const;
  /// Of the workers on GPUs.
  std::vector<std::shared_ptr<WorkerPort>> gpu_ports() const;
  /// How the last worker ended, for messages when there is no hope.
  const std::string& last_exit() const { return last_exit_; }
  std::vector<WorkerId> ready_ids() const;
  std::shared_ptr<WorkerPort> port(WorkerId id) const;
  /// Of all workers that can be spoken to.
  std::vector<std::shared_ptr<WorkerPort>> ports() const;
  std::vector<WorkerInfo> list(TimePoint now) const;
  std::vector<PoolInfo> pools() const;
  std::vector<Role> roles_of(const std::string& pool) const;
  /// Without what waits, which the table does not know.
  PoolLoad load(const std::string& pool) const;
  /// The hash of the component of `slot` that some worker loaded from `path`; "" when none has.
  std::string content_hash(const std::string& path, Slot slot) const;
  /// Of the copies of that component, on all workers.
  std::uint64_t loaded_bytes(const std::string& path, Slot slot) const;

 private:
  struct Worker {
    WorkerInfo info;
    std::shared_ptr<WorkerPort> port;
    bool routable = false;
    bool retired = false;
    std::uint64_t life = 0;
    std::uint32_t jobs = 0;
    Jobs orphans;
    std::set<std::string> files;  ///< given to it since it started
    std::string device_uuid;      ///< as it said last; its next life has the same device
    TimePoint heard, idle_since;
    TimePoint expected_until;  ///< another process takes its place before that

    bool up() const;  ///< ready, starting or restarting
  };
  const PoolInfo* pool_of(const Worker& worker) const;
  bool has_role(const Worker& worker, std::optional<Role> role) const;
  static bool is_on(const Worker& worker, const std::string& device_uuid) {
    return device_uuid.empty() || worker.device_uuid == device_uuid;
  }
  static bool has_all(const Worker& worker, const std::vector<std::string>& files);

  std::map<std::string, PoolInfo> pools_;
  std::map<WorkerId, Worker> workers_;
  std::optional<WorkerId> isolated_;
  std::string last_exit_;
};

}  // namespace luna::front
