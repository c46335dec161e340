#include "daemon/worker/run_worker.h"

#include <csignal>
#include <cstdio>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log/log.h"
#include "daemon/worker/host/open_engine.h"
#include "daemon/worker/host/worker_host.h"

namespace luna::worker {
namespace {

constexpr int kBadUsage = 2;

bool is_unix_socket(int fd) {
  int domain = 0;
  socklen_t size = sizeof(domain);
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

/// A terminal's Ctrl-C and a service manager's SIGTERM go to every process of the group; the front
/// decides what they mean, and drains its workers or closes their sockets.
void leave_signals_to_front() {
  for (int signal : {SIGINT, SIGTERM, SIGPIPE}) std::signal(signal, SIG_IGN);
}

}  // namespace

int run_worker(const WorkerOptions& options) {
  if (const Status status = log::init(options.log_level, options.log_file, "luna-worker");
      !status.ok()) {
    std::fprintf(stderr, "luna-worker: %s\n", status.to_string().c_str());
    return kBadUsage;
  }
  if (!is_unix_socket(options.control_fd)) {
    std::fprintf(
        stderr,
        "luna-worker: --control-fd %d: expected a connected unix socket (lunad passes it)\n",
        options.control_fd);
    return kBadUsage;
  }
  leave_signals_to_front();
  boost::asio::io_context io;
  const auto keep_running = boost::asio::make_work_guard(io);
  WorkerHost host(io, options.control_fd, open_engine, [](int code) { _exit(code); });
  io.run();
  return 0;
}

}  // namespace luna::worker
