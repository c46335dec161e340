#pragma once

#include <array>
#include <atomic>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/schedule.h"
#include "tests/integration/schedule_model.h"

namespace luna::support {

/// What the schedules sample: one request by (seed, steps), and what each checkpoint makes of it.
struct ScheduleReferences {
  SampleRequest request;                                     ///< its seed and steps are filled in
  std::map<std::tuple<int, int, int>, SampleReply> latents;  ///< (checkpoint, seed, steps)

  SampleRequest request_of(int seed, int steps) const;
  double error_of(const SampleReply& reply, int checkpoint, int seed, int steps) const;
};

/// The model set of a checkpoint of the schedules.
RequestedModels scheduled_models(int checkpoint);

/// One schedule on a daemon that may have served others before.
class ScheduleRun {
 public:
  /// Unfinished jobs that the daemon's configuration allows.
  static constexpr QueueLimits kLimits{.per_workflow = 6, .total = 12};

  ScheduleRun(DaemonProcess& daemon, const ScheduleReferences& references, std::uint64_t seed);
  ~ScheduleRun();

  /// Runs all steps, waits for all answers, lets everything go. What was not as permitted, one line
  /// each.
  std::vector<std::string> run(const std::vector<ScheduleStep>& steps);

 private:
  struct Flying {
    ScheduledCall* call = nullptr;
    int client = 0, incarnation = 0;
    std::string step;  ///< for messages
    Answer<SampleReply> answer;
    std::shared_ptr<client::CallHandle> handle;
    std::shared_ptr<std::atomic<std::int64_t>> answered_at;
    std::shared_ptr<std::atomic<int>> progress;
  };
  struct Aside {
    ScheduleStep step;
    std::future<Status> outcome;
  };

  std::string id_of(int workflow) const;
  void perform(const ScheduleStep& step);
  /// Takes over what has arrived meanwhile.
  void refresh();
  void register_now(const ScheduleStep& step);
  void register_aside(const ScheduleStep& step);
  void join_aside(int workflow);
  Flying& sample(const ScheduleStep& step, bool endless);
  std::vector<Flying*> flying();
  void cancel(Flying& flying);
  void release(const ScheduleStep& step);
  void expire(const ScheduleStep& step);
  void upload(const ScheduleStep& step);
  void kill_worker(const ScheduleStep& step);
  void overload(const ScheduleStep& step);
  void client_dies(int client);
  void judge(Flying& flying);
  void finish();
  void complain(const std::string& what) { complaints_.push_back(what); }

  DaemonProcess& daemon_;
  const ScheduleReferences& references_;
  const std::string prefix_;
  ScheduleModel model_;
  std::array<std::unique_ptr<client::GrpcClient>, kScheduleClients> clients_;
  std::array<int, kScheduleClients> incarnations_{};
  std::list<Flying> flights_;
  std::map<int, Aside> aside_;  ///< by workflow
  std::vector<std::string> complaints_;
};

}  // namespace luna::support
