#include "daemon/front/supervisor/supervisor.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <set>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "daemon/front/supervisor/process_reserve.h"
#include "daemon/front/supervisor/restart_policy.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace luna::front {
namespace {

using support::wait_until;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Port : public WorkerPort {
 public:
  Port(WorkerId id, std::shared_ptr<ipc::WorkerLink> link) : id_(id), link_(std::move(link)) {}
  WorkerId id() const override { return id_; }
  void run(const Job& job, JobEvents events) override { link_->run(job, std::move(events)); }
  void cancel(JobId job) override { link_->cancel(job); }
  void pin(const std::vector<std::string>& paths) override { link_->pin(paths); }
  void open_steps(StepsOpening, UniqueFd) override {}
  void release_leases(const std::vector<std::string>& ids) override { link_->release_leases(ids); }
  void end_session(const std::string& session) override { link_->end_session(session); }

 private:
  WorkerId id_;
  std::shared_ptr<ipc::WorkerLink> link_;
};

/// Real processes: this test program itself plays the worker (fake_worker_main.h).
class Supervising : public testing::Test {
 protected:
  Supervising() {
    config_.supervision.heartbeat_ms = 50;
    config_.supervision.heartbeat_timeout_ms = 1000;
    config_.supervision.backoff_first_ms = 1;
    config_.supervision.backoff_max_ms = 2;
    config_.supervision.crash_loop_limit = 3;
    config_.pools[0].devices = {"cpu"};
  }
  ~Supervising() override {
    if (supervisor_) {
      on_io([this] { supervisor_->kill(); });
      stop(Deadline::after(std::chrono::seconds(5)));
    }
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
    supervisor_.reset();
  }

  FrontCore& start(const std::string& behaviour = "good") {
    ::setenv("LUNA_FAKE_WORKER", behaviour.c_str(), 1);
    // Requests are told by the file that they name.
    core_ = std::make_unique<FrontCore>(
        std::make_shared<const Config>(config_), Clock(),
        [](const Job& job) { return std::get<InspectModelRequest>(job.request).path; });
    Supervisor::Setup setup{
        .config = std::make_shared<const Config>(config_),
        .worker_program = std::filesystem::read_symlink("/proc/self/exe").string(),
        .machine = {0, 1},
        .common = {},
        .make_port = [](WorkerId id, std::shared_ptr<ipc::WorkerLink> link) {
          return std::make_shared<Port>(id, std::move(link));
        }};
    supervisor_ = std::make_unique<Supervisor>(io_, *core_, std::move(setup));
    EXPECT_TRUE(supervisor_->start().ok());
    thread_ = std::thread([this] { io_.run(); });
    return *core_;
  }

  struct Call {
    std::promise<Result<JobReply>> promise;
    JobId id;
    Result<JobReply> wait() { return promise.get_future().get(); }
    std::string answer() {
      const Result<JobReply> result = wait();
      if (!result.ok()) return result.status().to_string();
      return std::get<InspectModelReply>(*result).components.at(0).family;
    }
  };
  /// Asks the fake worker for what the name says.
  std::shared_ptr<Call> ask(const std::string& name) {
    auto call = std::make_shared<Call>();
    JobEvents events;
    events.on_done = [call](Result<JobReply> result) {
      call->promise.set_value(std::move(result));
    };
    call->id = core_->submit({}, InspectModelRequest{folder_.write(name, "")}, std::move(events));
    return call;
  }

  void on_io(const std::function<void()>& call) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      call();
      done.set_value();
    });
    done.get_future().wait();
  }
  void stop(Deadline deadline) {
    std::promise<void> done;
    on_io([&] { supervisor_->stop(deadline, [&] { done.set_value(); }); });
    done.get_future().wait();
  }

  /// As the daemon's timer does it, `later` than now.
  void scale(std::chrono::seconds later = std::chrono::seconds(0)) {
    on_io([&] { supervisor_->scale(std::chrono::steady_clock::now() + later); });
  }

  WorkerInfo worker(std::size_t index = 0) { return core_->status().workers.at(index); }
  /// Processes that this one's threads started and that were not reaped.
  static std::set<std::int64_t> children() {
    std::set<std::int64_t> pids;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream children(task.path() / "children");
      for (std::int64_t pid = 0; children >> pid;) pids.insert(pid);
    }
    return pids;
  }
  bool reaches(const std::string& state) {
    return wait_until([&] { return worker().state == state; });
  }
  std::string events() {
    std::string all;
    for (const EventInfo& event : core_->status().events) all += event.text + "\n";
    return all;
  }

  support::TempDir folder_;
  Config config_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::unique_ptr<FrontCore> core_;
  std::unique_ptr<Supervisor> supervisor_;
  std::thread thread_;
};

TEST_F(Supervising, AWorkerIsStartedBecomesReadyAndBeats) {
  start();
  ASSERT_TRUE(reaches("ready")) << events();
  EXPECT_EQ(worker().device, "fake");
  EXPECT_GT(worker().pid, 0);
  EXPECT_EQ(::kill(static_cast<pid_t>(worker().pid), 0), 0);
}

TEST_F(Supervising, AWorkerThatIsKilledIsStartedAgain) {
  start();
  ASSERT_TRUE(reaches("ready"));
  const auto first = worker().pid;
  ::kill(static_cast<pid_t>(first), SIGKILL);
  ASSERT_TRUE(wait_until([&] { return worker().restarts == 1 && worker().state == "ready"; }))
      << events();
  EXPECT_NE(worker().pid, first);
  EXPECT_EQ(worker().last_exit, "killed from outside: killed by signal 9 (Killed)");
}

TEST_F(Supervising, AHealthyWorkerThatIsKilledIsReplacedByTheSpareProcess) {
  start();
  ASSERT_TRUE(reaches("ready"));
  EXPECT_EQ(children().size(), 1u) << "none before the worker is ready and the pool's timer comes";
  scale();
  scale();
  ASSERT_EQ(children().size(), 2u);
  const auto first = worker().pid;
  const std::set<std::int64_t> both = children();
  std::this_thread::sleep_for(RestartPolicy::kHealthy);
  ::kill(static_cast<pid_t>(first), SIGKILL);
  ASSERT_TRUE(wait_until([&] { return worker().restarts == 1 && worker().state == "ready"; }))
      << events();
  EXPECT_NE(worker().pid, first);
  EXPECT_TRUE(both.contains(worker().pid)) << "it ran before the other one died";
  EXPECT_EQ(children().size(), 1u);
  EXPECT_EQ(ask("still there")->answer(), "still there");
  scale();
  EXPECT_EQ(children().size(), 2u);
}

TEST_F(Supervising, ASpareProcessThatDiesIsMissedByNobodyAndComesBackAfterAPause) {
  start();
  ASSERT_TRUE(reaches("ready"));
  scale();
  std::set<std::int64_t> spare = children();
  spare.erase(worker().pid);
  ASSERT_EQ(spare.size(), 1u);
  ::kill(static_cast<pid_t>(*spare.begin()), SIGKILL);
  ASSERT_TRUE(wait_until([&] { return children().size() == 1; }));
  EXPECT_EQ(worker().restarts, 0u);
  scale();
  EXPECT_EQ(children().size(), 1u);
  scale(ProcessReserve::kPause + std::chrono::seconds(1));
  EXPECT_EQ(children().size(), 2u);
}

TEST_F(Supervising, APoolWithoutSpareProcessesHasNone) {
  config_.pools[0].spare_workers = 0;
  start();
  ASSERT_TRUE(reaches("ready"));
  scale();
  EXPECT_EQ(children().size(), 1u);
}

TEST_F(Supervising, EightJobsOfAProcessThatIsKilledAreAllRunAgainAndAnswered) {
  start();
  ASSERT_TRUE(reaches("ready"));
  std::vector<std::shared_ptr<Call>> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(ask("hold"));
  ASSERT_TRUE(wait_until([&] { return core_->status().jobs.running == 8; }));
  folder_.write("hold.released", "");
  ::kill(static_cast<pid_t>(worker().pid), SIGKILL);
  for (const auto& call : calls) EXPECT_EQ(call->answer(), "hold");
  EXPECT_EQ(core_->status().jobs.done, 8u);
  EXPECT_EQ(core_->status().workers.at(0).restarts, 1u);
}

TEST_F(Supervising, ARequestThatEndsTwoWorkersIsRefusedAndNeverTripsTheBreaker) {
  config_.supervision.crash_loop_limit = 2;
  start();
  EXPECT_EQ(ask("crash")->answer(),
            "FAILED_PRECONDITION: this request ended two workers (killed by signal 6 (Aborted)); "
            "it is refused for 60 minutes");
  EXPECT_EQ(ask("still there")->answer(), "still there");
  EXPECT_EQ(worker().restarts, 2u);
  EXPECT_EQ(worker().last_exit, "crash: killed by signal 6 (Aborted)");
  EXPECT_THAT(ask("crash")->answer(), HasSubstr("refused for"));
  EXPECT_EQ(worker().restarts, 2u);
}

TEST_F(Supervising, AmongFiveJobsTheOneThatCrashesIsFoundAndTheOthersAreAnswered) {
  config_.supervision.crash_loop_limit = 10;
  start();
  ASSERT_TRUE(reaches("ready"));
  std::vector<std::shared_ptr<Call>> innocents;
  for (int i = 0; i < 4; ++i) innocents.push_back(ask("hold" + std::to_string(i)));
  ASSERT_TRUE(wait_until([&] { return core_->status().jobs.running == 4; }));
  for (int i = 0; i < 4; ++i) folder_.write("hold" + std::to_string(i) + ".released", "");
  EXPECT_THAT(ask("crash")->answer(), HasSubstr("ended two workers"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(innocents[i]->answer(), "hold" + std::to_string(i));
  ASSERT_TRUE(reaches("ready"));
  EXPECT_EQ(worker().restarts, 2u);
}

TEST_F(Supervising, ADeviceErrorIsAFaultOfTheWorkersOwn) {
  config_.supervision.crash_loop_limit = 10;
  start();
  EXPECT_THAT(ask("device_error")->answer(), HasSubstr("ended two workers (device error, exited"));
  EXPECT_THAT(worker().last_exit, HasSubstr("crash: device error"));
}

TEST_F(Supervising, AJobWhoseWorkersAreKilledFromOutsideIsNeverRefusedForIt) {
  start();
  ASSERT_TRUE(reaches("ready"));
  for (int round = 0; round < 2; ++round) {
    const auto call = ask("hold");
    for (int kills = 0; kills < 2; ++kills) {
      ASSERT_TRUE(wait_until([&] { return core_->status().jobs.running == 1; })) << events();
      const auto pid = worker().pid;
      ::kill(static_cast<pid_t>(pid), SIGKILL);
      ASSERT_TRUE(wait_until([&] { return worker().state == "ready" && worker().pid != pid; }));
    }
    ASSERT_TRUE(wait_until([&] { return core_->status().jobs.running == 1; }));
    core_->cancel(call->id);
    EXPECT_EQ(call->wait().status().code(), StatusCode::kCancelled);
  }
  EXPECT_THAT(events(), HasSubstr("killed from outside: killed by signal 9"));
}

TEST_F(Supervising, AStepBeyondItsLimitIsAHangThoughHeartbeatsCome) {
  config_.supervision.step_timeout_ms = 100;
  config_.supervision.crash_loop_limit = 10;
  start();
  EXPECT_THAT(ask("stuck")->answer(), AllOf(HasSubstr("UNAVAILABLE: 4 workers died"),
                                            HasSubstr("hang: a step has run for")));
  EXPECT_THAT(worker().last_exit, AllOf(HasSubstr("hang: a step"), HasSubstr("than 100 ms")));
  EXPECT_EQ(ask("still there")->answer(), "still there");
}

TEST_F(Supervising, WithoutALimitAStepMayTakeForEver) {
  config_.supervision.step_timeout_ms = 0;
  start();
  const auto call = ask("stuck");
  ASSERT_TRUE(
      wait_until([&] { return reaches("ready") && worker().report.step_in_progress_ms > 200; }));
  EXPECT_EQ(worker().restarts, 0u);
  core_->cancel(call->id);
}

TEST_F(Supervising, ACancelReachesTheProcess) {
  start();
  ASSERT_TRUE(reaches("ready"));
  const auto call = ask("hold");
  core_->cancel(call->id);
  EXPECT_EQ(call->wait().status().code(), StatusCode::kCancelled);
}

TEST_F(Supervising, WorkersWaitPassivelyAndStandInAGroupOfTheirOwn) {
  start();
  EXPECT_EQ(ask("environment")->answer(), "PASSIVE 5000");
  EXPECT_EQ(ask("own_group")->answer(), "yes");
}

TEST_F(Supervising, EveryWorkerOfAPoolHasItsOwnProcess) {
  config_.pools[0].min_workers = 2;
  start();
  ASSERT_TRUE(wait_until([&] {
    return std::ranges::all_of(core_->status().workers,
                               [](const WorkerInfo& w) { return w.state == "ready"; });
  }));
  EXPECT_EQ(core_->status().workers.size(), 2u);
  EXPECT_NE(worker(0).pid, worker(1).pid);
}

TEST_F(Supervising, UnderLoadAnotherWorkerStartsAndTheIdleOneEndsLater) {
  config_.pools[0].max_workers = 2;
  config_.pools[0].scale_up_jobs = 1;
  config_.pools[0].scale_up_wait_ms = 0;
  config_.pools[0].scale_down_idle_seconds = 60;
  start();
  ASSERT_TRUE(reaches("ready"));
  std::vector<std::shared_ptr<Call>> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(ask("hold"));
  scale();
  EXPECT_TRUE(wait_until([&] {
    const auto workers = core_->status().workers;
    return workers.size() == 2 && workers[1].state == "ready";
  })) << events();
  scale();
  EXPECT_EQ(core_->status().workers.size(), 2u) << "there is no third seat";
  for (const auto& call : calls) {
    core_->cancel(call->id);
    EXPECT_EQ(call->wait().status().code(), StatusCode::kCancelled);
  }
  scale(std::chrono::seconds(30));
  EXPECT_THAT(core_->status().events.back().text, Not(HasSubstr("idle")));
  scale(std::chrono::seconds(3600));
  EXPECT_TRUE(wait_until([&] { return core_->status().workers.size() == 1; })) << events();
  scale(std::chrono::seconds(7200));
  EXPECT_EQ(worker().state, "ready") << "the last one stays";
  EXPECT_EQ(ask("still there")->answer(), "still there");
}

TEST_F(Supervising, APoolThatMayBeEmptyStartsItsWorkerForTheFirstCall) {
  config_.pools[0].min_workers = 0;
  start();
  EXPECT_TRUE(core_->status().workers.empty());
  const auto call = ask("first");
  scale();
  EXPECT_EQ(call->answer(), "first");
  scale();
  EXPECT_EQ(children().size(), 2u);
  scale(std::chrono::seconds(3600));
  EXPECT_TRUE(wait_until([&] { return core_->status().workers.empty(); })) << events();
  scale(std::chrono::seconds(3600));
  EXPECT_TRUE(wait_until([&] { return children().empty(); })) << "nor a spare process";
  const auto later = ask("second");
  scale();
  EXPECT_EQ(later->answer(), "second");
}

TEST_F(Supervising, APoolsOwnLimitsGoBeforeThoseOfAll) {
  config_.pools[0].crash_loop_limit = 1;
  start("exit");
  ASSERT_TRUE(reaches("failed")) << events();
  EXPECT_EQ(worker().restarts, 0u);
}

TEST_F(Supervising, AWorkerThatEndsAtOnceAgainAndAgainStaysDown) {
  start("exit");
  ASSERT_TRUE(reaches("failed")) << events();
  EXPECT_EQ(worker().last_exit, "crash: exited with 7");
  EXPECT_EQ(worker().restarts, 2u);
}

TEST_F(Supervising, AWorkerWithoutHeartbeatsIsKilledAndStartedAgain) {
  config_.supervision.heartbeat_timeout_ms = 150;
  start("mute");
  ASSERT_TRUE(wait_until([&] { return worker().restarts >= 1; })) << events();
  EXPECT_THAT(worker().last_exit, HasSubstr("hang: no heartbeat for 150 ms"));
}

TEST_F(Supervising, AWorkerThatIsNotReadyInTimeIsKilled) {
  config_.supervision.start_timeout_ms = 100;
  start("slow");
  ASSERT_TRUE(wait_until([&] { return worker().restarts >= 1; })) << events();
  EXPECT_THAT(worker().last_exit, HasSubstr("hang: not ready within 100 ms"));
}

TEST_F(Supervising, AWorkerThatSaysItNeverWillBeReadyStaysDownWithItsReason) {
  start("refuse");
  ASSERT_TRUE(reaches("failed")) << events();
  EXPECT_THAT(worker().last_exit, HasSubstr("no vocabulary"));
  EXPECT_EQ(worker().restarts, 0u);
}

TEST_F(Supervising, StoppingLetsWorkersEndByThemselvesAndReapsThem) {
  start();
  ASSERT_TRUE(reaches("ready"));
  const auto pid = static_cast<pid_t>(worker().pid);
  core_->drain({});
  stop(Deadline::after(std::chrono::seconds(10)));
  EXPECT_EQ(worker().last_exit, "asked to end: exited with 0");
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST_F(Supervising, AWorkerThatDoesNotEndIsKilledAtTheDeadline) {
  start("stubborn");
  ASSERT_TRUE(reaches("ready"));
  stop(Deadline::after(std::chrono::milliseconds(50)));
  EXPECT_THAT(worker().last_exit, HasSubstr("asked to end: it did not end in time"));
}

TEST_F(Supervising, AProgramThatIsNotThereIsSaidAtTheStart) {
  core_ = std::make_unique<FrontCore>(std::make_shared<const Config>(config_));
  Supervisor supervisor(io_, *core_,
                        {.config = std::make_shared<const Config>(config_),
                         .worker_program = "/no/luna-worker",
                         .machine = {},
                         .common = {},
                         .make_port = {}});
  const Status status = supervisor.start();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("/no/luna-worker"));
}

}  // namespace
}  // namespace luna::front
