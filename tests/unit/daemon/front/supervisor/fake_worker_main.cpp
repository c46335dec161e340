#include "tests/unit/daemon/front/supervisor/fake_worker_main.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/types/worker_exit.h"
#include "daemon/ipc/session/front_link.h"

namespace luna::front {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

class Worker {
 public:
  explicit Worker(int fd) {
    ipc::FrontLink::Handlers handlers;
    handlers.on_welcome = [this](WorkerId, const WorkerSettings& settings) { welcome(settings); };
    handlers.on_run = [this](const Job& job) { run(job); };
    handlers.on_cancel = [this](JobId job) {
      link_->send_done(job, Status(StatusCode::kCancelled, "stopped"));
    };
    handlers.on_drain = [this] {
      if (mode_ != "stubborn") link_->close_when_flushed();
    };
    handlers.on_closed = [this](const Status&) { io_.stop(); };
    link_ = ipc::FrontLink::adopt(io_, fd, std::move(handlers));
  }

  void serve() { io_.run(); }

 private:
  void welcome(const WorkerSettings& settings) {
    settings_ = settings;
    if (mode_ == "slow") return;
    if (mode_ == "refuse") {
      link_->send_ready(Status(StatusCode::kNotFound, "no vocabulary"), "");
      return;
    }
    link_->send_ready({}, "fake");
    if (mode_ != "mute") beat();
  }

  void beat() {
    WorkerReport report;
    if (step_began_) {
      const auto age = std::chrono::steady_clock::now() - *step_began_;
      report.step_in_progress_ms = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(age).count());
    }
    link_->send_heartbeat(std::move(report));
    timer_.expires_after(std::chrono::milliseconds(settings_.heartbeat_ms));
    timer_.async_wait([this](const boost::system::error_code& off) {
      if (!off) beat();
    });
  }

  void run(const Job& job) {
    const std::filesystem::path path = std::get<InspectModelRequest>(job.request).path;
    const std::string name = path.filename();
    if (name.starts_with("hold") && !std::filesystem::exists(path.string() + ".released")) return;
    if (name == "stuck") {
      if (!step_began_) step_began_ = std::chrono::steady_clock::now();
      return;
    }
    if (name == "device_error") ::_exit(kDeviceErrorExit);
    if (name == "crash") {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      std::abort();
    }
    ComponentInfo answer;
    answer.family = name;
    if (name == "environment") {
      answer.family = environment("OMP_WAIT_POLICY") + " " + environment("GOMP_SPINCOUNT");
    } else if (name == "own_group") {
      answer.family = ::getpgid(0) == ::getpid() ? "yes" : "no";
    }
    link_->send_done(job.id, JobReply(InspectModelReply{{answer}}));
  }

  const std::string mode_ = environment("LUNA_FAKE_WORKER");
  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  std::shared_ptr<ipc::FrontLink> link_;
  WorkerSettings settings_;
  std::optional<std::chrono::steady_clock::time_point> step_began_;
};

}  // namespace

int fake_worker_main(int control_fd) {
  if (environment("LUNA_FAKE_WORKER") == "exit") return 7;
  Worker(control_fd).serve();
  return 0;
}

}  // namespace luna::front

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--control-fd") == 0) {
    return luna::front::fake_worker_main(std::atoi(argv[2]));
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
