#include "daemon/front/dispatch/link_port.h"

#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "daemon/front/core/front_core.h"
#include "daemon/ipc/session/front_link.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace luna::front {
namespace {

using support::wait_until;

/// A worker at the other end of a real socket, in this process. It answers inspections with its
/// name, and keeps those of a file called "hold" until the front cancels them.
class Peer {
 public:
  Peer(boost::asio::io_context& io, int fd, std::string name) : name_(std::move(name)) {
    ipc::FrontLink::Handlers handlers;
    handlers.on_welcome = [this](WorkerId, const WorkerSettings&) { link_->send_ready({}, "cpu"); };
    handlers.on_run = [this](Job job) {
      ++jobs;
      if (std::get<InspectModelRequest>(job.request).path.ends_with("/hold")) return;
      ComponentInfo answer;
      answer.family = name_;
      link_->send_done(job.id, JobReply(InspectModelReply{{answer}}));
    };
    handlers.on_cancel = [this](JobId job) {
      link_->send_done(job, Status(StatusCode::kCancelled, "stopped"));
    };
    handlers.on_drain = [] {};
    handlers.on_closed = [](const Status&) {};
    link_ = ipc::FrontLink::adopt(io, fd, std::move(handlers));
  }
  void vanish() { link_->close_when_flushed(); }
  std::atomic<int> jobs = 0;

 private:
  std::string name_;
  std::shared_ptr<ipc::FrontLink> link_;
};

class LinkPorts : public testing::Test {
 protected:
  ~LinkPorts() override {
    io_.stop();
    thread_.join();
  }

  /// The peer lives until the links' thread has ended.
  Peer* add_worker(std::uint64_t id, const std::string& name) {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    core_.worker_starting(WorkerId{id}, "default", 1);
    ipc::WorkerLink::Handlers handlers;
    handlers.on_closed = [this, id](const Status&) {
      core_.worker_gone(WorkerId{id}, {WorkerEnd::Kind::kFromOutside, "vanished"});
    };
    const auto link = ipc::WorkerLink::adopt(io_, pair[0], WorkerId{id}, {}, std::move(handlers));
    Peer* peer = nullptr;
    std::promise<void>
        made;  // On the links' own thread, so that no handler runs before it is there.
    boost::asio::post(io_, [&] {
      peer = peers_.emplace_back(std::make_unique<Peer>(io_, pair[1], name)).get();
      made.set_value();
    });
    made.get_future().wait();
    core_.worker_ready(make_link_port(WorkerId{id}, link), "cpu");
    return peer;
  }

  struct Call {
    std::atomic<int> answers = 0;
    std::optional<Result<JobReply>> result;
    JobId id;
  };
  std::shared_ptr<Call> inspect(const std::string& name) {
    const std::string path = folder_.write(name, "");
    auto call = std::make_shared<Call>();
    JobEvents events;
    events.on_done = [call](Result<JobReply> result) {
      call->result = std::move(result);
      ++call->answers;
    };
    call->id = core_.submit({}, InspectModelRequest{path}, std::move(events));
    return call;
  }

  support::TempDir folder_;
  boost::asio::io_context io_{1};
  FrontCore core_{std::make_shared<const Config>()};  // goes before io_: it holds links
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::vector<std::unique_ptr<Peer>> peers_;
  std::thread thread_{[this] { io_.run(); }};
};

TEST_F(LinkPorts, AJobGoesOverTheSocketAndItsAnswerComesBack) {
  add_worker(1, "one");
  const auto call = inspect("any");
  ASSERT_TRUE(wait_until([&] { return call->answers == 1; }));
  ASSERT_TRUE(call->result->ok()) << call->result->status().to_string();
  EXPECT_EQ(std::get<InspectModelReply>(**call->result).components.at(0).family, "one");
}

TEST_F(LinkPorts, ACancelGoesOverTheSocket) {
  const auto peer = add_worker(1, "one");
  const auto call = inspect("hold");
  ASSERT_TRUE(wait_until([&] { return peer->jobs == 1; }));
  core_.cancel(call->id);
  ASSERT_TRUE(wait_until([&] { return call->answers == 1; }));
  EXPECT_EQ(call->result->status().code(), StatusCode::kCancelled);
}

TEST_F(LinkPorts, JobsOfAPeerThatVanishesAreRunByAnother) {
  const auto one = add_worker(1, "one");
  const auto call = inspect("hold");
  ASSERT_TRUE(wait_until([&] { return one->jobs == 1; }));
  const auto two = add_worker(2, "two");
  one->vanish();
  ASSERT_TRUE(wait_until([&] { return two->jobs == 1; }));
  EXPECT_EQ(call->answers, 0);
  EXPECT_EQ(core_.status().jobs.rerun, 1u);
  core_.cancel(call->id);
  ASSERT_TRUE(wait_until([&] { return call->answers == 1; }));
}

TEST_F(LinkPorts, ADeadlineEndsARunningJob) {
  add_worker(1, "one");
  Caller soon;
  soon.deadline = Deadline::after(std::chrono::milliseconds(200));
  auto call = std::make_shared<Call>();
  JobEvents events;
  events.on_done = [call](Result<JobReply> result) {
    call->result = std::move(result);
    ++call->answers;
  };
  core_.submit(soon, InspectModelRequest{folder_.write("hold", "")}, std::move(events));
  ASSERT_TRUE(wait_until([&] { return call->answers == 1; }));
  EXPECT_EQ(call->result->status().code(), StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace luna::front
