#include "daemon/worker/host/worker_host.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include "common/local/socket.h"
#include "common/types/worker_exit.h"
#include "daemon/ipc/session/worker_link.h"

namespace luna::worker {
namespace {

using testing::HasSubstr;

/// What an engine was asked, and by whom it is answered: the test.
struct EngineScript {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<JobId, JobEvents> running;
  std::vector<JobId> cancelled;
  std::vector<std::string> pins;
  std::vector<std::string> ended;
  std::function<void()> idle;
  bool device_failed = false;
  std::function<void()> socket_ready;  ///< of a descriptor that is watched

  template <class Condition>
  bool wait_for(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), condition);
  }
};

class ScriptedEngine final : public Engine {
 public:
  explicit ScriptedEngine(EngineScript& script) : script_(script) {}
  void run(Job job, JobEvents events, BytesMaker) override {
    note([&] { script_.running[job.id] = std::move(events); });
  }
  void cancel(JobId job) override {
    note([&] { script_.cancelled.push_back(job); });
  }
  void pin(const std::vector<std::string>& paths) override {
    note([&] { script_.pins = paths; });
  }
  void release_leases(std::vector<std::string> ids) override {
    note([&] { script_.ended = ids; });
  }
  void end_session(std::string session) override {
    note([&] { script_.ended.push_back(session); });
  }
  void drain(std::function<void()> idle) override {
    note([&] { script_.idle = std::move(idle); });
  }
  WorkerReport report() const override {
    WorkerReport report;
    report.device = "scripted";
    report.device_uuid = "GPU-scripted";
    report.jobs_done = 7;
    return report;
  }
  void post(std::function<void()> call) override { call(); }
  void watch(int, short, std::function<void()> ready) override {
    note([&] { script_.socket_ready = std::move(ready); });
  }
  void unwatch(int) override {
    note([&] { script_.socket_ready = nullptr; });
  }
  std::string device_description() const override { return "scripted (0 threads)"; }
  bool device_failed() const override { return script_.device_failed; }

 private:
  template <class F>
  void note(F change) {
    std::lock_guard lock(script_.mutex);
    change();
    script_.changed.notify_all();
  }
  EngineScript& script_;
};

/// An io_context with a thread.
class Loop {
 public:
  ~Loop() { stop(); }
  void stop() {
    work_.reset();
    io.stop();
    if (thread_.joinable()) thread_.join();
  }
  boost::asio::io_context io;

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io.get_executor()};
  std::thread thread_{[this] { io.run(); }};
};

class WorkerHostTest : public testing::Test {
 protected:
  void connect(WorkerHost::OpenEngine open) {
    auto sockets = socket_pair();
    ASSERT_TRUE(sockets.ok());
    WorkerSettings settings;
    settings.heartbeat_ms = 20;
    ipc::WorkerLink::Handlers handlers;
    handlers.on_ready = [this](Status status, std::string device) {
      ready_.set_value({status, device});
    };
    handlers.on_heartbeat = [this](const WorkerReport& report) {
      std::lock_guard lock(script_.mutex);
      heartbeats_.push_back(report);
      script_.changed.notify_all();
    };
    handlers.on_seek_weights = [this](const ComponentSource& source, const auto& found) {
      found(source.file.path == shelf_path_ ? std::optional(shelf_) : std::nullopt);
    };
    handlers.on_read_failed = [this](const ComponentSource& source) {
      std::lock_guard lock(script_.mutex);
      unread_path_ = source.file.path;
      script_.changed.notify_all();
    };
    handlers.on_offer_weights = [this](const ComponentSource& source, HostWeights weights) {
      std::lock_guard lock(script_.mutex);
      shelf_path_ = source.file.path;
      shelf_ = std::move(weights);
      script_.changed.notify_all();
    };
    handlers.on_steps_ended = [this](StepsId steps, std::uint64_t) {
      std::lock_guard lock(script_.mutex);
      ended_steps_.push_back(steps);
      script_.changed.notify_all();
    };
    handlers.on_closed = [this](Status) { closed_.set_value(); };
    front_ = ipc::WorkerLink::adopt(front_loop_.io, sockets->first.release(), WorkerId{1}, settings,
                                    handlers);
    const int fd = sockets->second.release();
    on_worker([&] {
      host_ = std::make_unique<WorkerHost>(worker_loop_.io, fd, open, [this](int code) {
        if (!exiting_.exchange(true)) exited_.set_value(code);
      });
    });
  }
  void connect_scripted() {
    connect([this](const WorkerSettings&, std::shared_ptr<HostCopies> copies) {
      copies_ = std::move(copies);
      return Result<std::unique_ptr<Engine>>(std::make_unique<ScriptedEngine>(script_));
    });
  }
  void TearDown() override {
    if (front_) front_->close();
    worker_loop_.stop();
    front_loop_.stop();
    host_.reset();
  }
  template <class F>
  void on_worker(F call) {
    std::promise<void> done;
    boost::asio::post(worker_loop_.io, [&] {
      call();
      done.set_value();
    });
    done.get_future().get();
  }
  std::shared_ptr<std::promise<Result<JobReply>>> run(std::uint64_t id) {
    Job job;
    job.id = JobId{id};
    job.request = TokenizeRequest{"x"};
    auto done = std::make_shared<std::promise<Result<JobReply>>>();
    front_->run(job, {{}, [done](Result<JobReply> result) { done->set_value(std::move(result)); }});
    return done;
  }

  Loop front_loop_, worker_loop_;  ///< outlive whatever holds a link
  EngineScript script_;
  std::vector<WorkerReport> heartbeats_;
  std::string shelf_path_;  ///< what the front has, after the worker offered it
  HostWeights shelf_;
  std::string unread_path_;  ///< what the worker said that it could not read
  std::vector<StepsId> ended_steps_;
  std::shared_ptr<HostCopies> copies_;  ///< what the engine was given
  std::promise<std::pair<Status, std::string>> ready_;
  std::promise<void> closed_;
  std::promise<int> exited_;
  std::atomic<bool> exiting_ = false;  ///< a real exit happens once
  std::shared_ptr<ipc::WorkerLink> front_;
  std::unique_ptr<WorkerHost> host_;
};

TEST_F(WorkerHostTest, AJobGoesToTheEngineAndItsResultToTheFront) {
  connect_scripted();
  EXPECT_EQ(ready_.get_future().get().second, "scripted (0 threads)");
  auto done = run(5);
  ASSERT_TRUE(script_.wait_for([&] { return script_.running.contains(JobId{5}); }));
  UnloadModelReply unloaded;
  unloaded.freed_bytes = 42;
  script_.running[JobId{5}].on_done(JobReply(std::move(unloaded)));
  const auto reply = done->get_future().get();
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  EXPECT_EQ(std::get<UnloadModelReply>(*reply).freed_bytes, 42u);
}

TEST_F(WorkerHostTest, AStepSocketIsServedAndReportedUntilItEnds) {
  connect_scripted();
  ready_.get_future().get();
  auto sockets = socket_pair().value();
  front_->open_steps({.id = StepsId{7}, .workflow = "w"}, std::move(sockets.second));
  ASSERT_TRUE(script_.wait_for([&] { return script_.socket_ready != nullptr; }));
  EXPECT_TRUE(script_.wait_for(
      [&] { return !heartbeats_.empty() && heartbeats_.back().step_evaluations.contains(7); }));
  sockets.first.reset();
  std::function<void()> ready;
  {
    std::lock_guard lock(script_.mutex);
    ready = script_.socket_ready;
  }
  ready();
  EXPECT_TRUE(script_.wait_for([&] { return !ended_steps_.empty(); }));
  EXPECT_EQ(ended_steps_.front(), StepsId{7});
}

TEST_F(WorkerHostTest, BeforeItsEngineIsOpenAWorkerEndsStepSocketsAtOnce) {
  std::promise<void> go_on;
  connect([&](const WorkerSettings&, std::shared_ptr<HostCopies>) {
    go_on.get_future().get();
    return Result<std::unique_ptr<Engine>>(std::make_unique<ScriptedEngine>(script_));
  });
  ASSERT_TRUE(script_.wait_for([&] { return !heartbeats_.empty(); }));
  auto sockets = socket_pair().value();
  front_->open_steps({.id = StepsId{8}}, std::move(sockets.second));
  EXPECT_TRUE(script_.wait_for([&] { return !ended_steps_.empty(); }));
  char byte = 0;
  EXPECT_EQ(::recv(sockets.first.get(), &byte, 1, 0), 0);
  go_on.set_value();
  ready_.get_future().get();
}

TEST_F(WorkerHostTest, TheEngineFindsWhatItOfferedToTheFrontBefore) {
  connect_scripted();
  ready_.get_future().get();
  const ComponentSource source{{.path = "/models/vae"}, Slot::kVae};
  EXPECT_FALSE(copies_->find(source));
  copies_->keep(source, {"hash", {{"w", {DType::kU8, {4}}, 0}}, {}, bytes_from("abcd")});
  ASSERT_TRUE(script_.wait_for([&] { return !shelf_path_.empty(); }));
  const auto found = copies_->find(source);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->content_hash, "hash");
  EXPECT_EQ(found->tensors, shelf_.tensors);
}

TEST_F(WorkerHostTest, WhenTheFrontIsGoneThereIsNoCopyAndNobodyWaits) {
  connect_scripted();
  ready_.get_future().get();
  front_->close();
  exited_.get_future().get();
  EXPECT_FALSE(copies_->find({{.path = "/models/vae"}, Slot::kVae}));
}

TEST_F(WorkerHostTest, HeartbeatsCarryTheEnginesReport) {
  connect_scripted();
  EXPECT_TRUE(
      script_.wait_for([&] { return !heartbeats_.empty() && heartbeats_.back().jobs_done == 7; }));
}

TEST_F(WorkerHostTest, CancelReachesTheEngine) {
  connect_scripted();
  auto done = run(5);
  ASSERT_TRUE(script_.wait_for([&] { return script_.running.contains(JobId{5}); }));
  front_->cancel(JobId{5});
  ASSERT_TRUE(script_.wait_for([&] { return !script_.cancelled.empty(); }));
  script_.running[JobId{5}].on_done(error(StatusCode::kCancelled, "cancelled"));
  EXPECT_EQ(done->get_future().get().status().code(), StatusCode::kCancelled);
}

TEST_F(WorkerHostTest, JobsThatComeBeforeTheEngineIsOpenAreRunOnceItIs) {
  std::promise<void> may_open;
  auto gate = may_open.get_future().share();
  connect([this, gate](const WorkerSettings&, std::shared_ptr<HostCopies>) {
    gate.wait();
    return Result<std::unique_ptr<Engine>>(std::make_unique<ScriptedEngine>(script_));
  });
  auto done = run(5);
  may_open.set_value();
  ASSERT_TRUE(script_.wait_for([&] { return script_.running.contains(JobId{5}); }));
  script_.running[JobId{5}].on_done(JobReply(TokenizeReply{}));
  EXPECT_TRUE(done->get_future().get().ok());
}

TEST_F(WorkerHostTest, WithoutADeviceReadySaysWhyAndSoDoesEveryJob) {
  connect([](const WorkerSettings&, std::shared_ptr<HostCopies>) {
    return Result<std::unique_ptr<Engine>>(error(StatusCode::kNotFound, "no such device"));
  });
  const auto ready = ready_.get_future().get();
  EXPECT_EQ(ready.first.code(), StatusCode::kNotFound);
  EXPECT_THAT(ready.first.message(), HasSubstr("no such device"));
  EXPECT_EQ(run(5)->get_future().get().status().code(), StatusCode::kNotFound);
}

TEST_F(WorkerHostTest, AFailedDeviceEndsTheProcessWithItsCodeAndLeavesTheJobUnanswered) {
  connect_scripted();
  auto done = run(5);
  ASSERT_TRUE(script_.wait_for([&] { return script_.running.contains(JobId{5}); }));
  script_.device_failed = true;
  script_.running[JobId{5}].on_done(error(StatusCode::kInternal, "an illegal memory access"));
  EXPECT_EQ(exited_.get_future().get(), kDeviceErrorExit);
  front_->close();
  EXPECT_EQ(done->get_future().get().status().code(), StatusCode::kUnavailable);
}

TEST_F(WorkerHostTest, AnInternalErrorOnADeviceThatWorksIsAnAnswer) {
  connect_scripted();
  auto done = run(5);
  ASSERT_TRUE(script_.wait_for([&] { return script_.running.contains(JobId{5}); }));
  script_.running[JobId{5}].on_done(error(StatusCode::kInternal, "NaN in the latent"));
  EXPECT_EQ(done->get_future().get().status().code(), StatusCode::kInternal);
}

TEST_F(WorkerHostTest, PinsReachTheEngineAlsoThoseThatCameBeforeItWasOpen) {
  std::promise<void> may_open;
  connect([&](const WorkerSettings&, std::shared_ptr<HostCopies>) {
    may_open.get_future().get();
    return Result<std::unique_ptr<Engine>>(std::make_unique<ScriptedEngine>(script_));
  });
  front_->pin({"/models/early"});
  may_open.set_value();
  EXPECT_TRUE(
      script_.wait_for([&] { return script_.pins == std::vector<std::string>{"/models/early"}; }));
  front_->pin({});
  EXPECT_TRUE(script_.wait_for([&] { return script_.pins.empty(); }));
}

TEST_F(WorkerHostTest, LeasesAndSessionsThatEndReachTheEngine) {
  connect_scripted();
  ready_.get_future().get();
  front_->release_leases({"4", "7"});
  front_->end_session("s-1");
  EXPECT_TRUE(script_.wait_for([&] { return script_.ended.size() == 3; }));
  EXPECT_THAT(script_.ended, testing::ElementsAre("4", "7", "s-1"));
}

TEST_F(WorkerHostTest, TheFrontKnowsTheDeviceBeforeTheWorkerIsReady) {
  connect_scripted();
  ready_.get_future().get();
  std::lock_guard lock(script_.mutex);
  EXPECT_TRUE(std::ranges::any_of(heartbeats_, [](const WorkerReport& report) {
    return report.device_uuid == "GPU-scripted";
  }));
}

TEST_F(WorkerHostTest, AReadingThatFailedIsToldToTheFront) {
  connect_scripted();
  ready_.get_future().get();
  copies_->give_up({{.path = "/models/unreadable"}, Slot::kVae});
  EXPECT_TRUE(script_.wait_for([&] { return unread_path_ == "/models/unreadable"; }));
}

TEST_F(WorkerHostTest, TheEndOfTheFrontEndsTheProcess) {
  connect_scripted();
  ready_.get_future().get();
  front_->close();
  EXPECT_EQ(exited_.get_future().get(), 0);
}

TEST_F(WorkerHostTest, DrainEndsTheProcessOnceTheEngineIsIdle) {
  connect_scripted();
  ready_.get_future().get();
  front_->drain();
  ASSERT_TRUE(script_.wait_for([&] { return script_.idle != nullptr; }));
  script_.idle();
  EXPECT_EQ(exited_.get_future().get(), 0);
  closed_.get_future().get();
}

}  // namespace
}  // namespace luna::worker
