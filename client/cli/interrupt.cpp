#include "client/cli/interrupt.h"

#include <cerrno>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/cli/exit_codes.h"

namespace luna::client {
namespace {

void say(std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

}  // namespace

Interrupt::Interrupt() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  end_ = ::eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || end_ < 0) die("cannot watch for signals: out of file descriptors");
  thread_ = std::thread([this] { watch(); });
}

Interrupt::~Interrupt() {
  const std::uint64_t one = 1;
  (void)!::write(end_, &one, sizeof one);
  thread_.join();
  ::close(signals_);
  ::close(end_);
}

void Interrupt::watch() {
  while (true) {
    pollfd waiting[2] = {{signals_, POLLIN, 0}, {end_, POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    signalfd_siginfo info{};
    if (waiting[0].revents == 0 || ::read(signals_, &info, sizeof info) != sizeof info) continue;
    if (!cancellable_ || stop_.stop_requested()) {
      say("\n");
      ::_exit(kExitInterrupted);
    }
    if (!silent_) say("\ncancelling; Ctrl-C again leaves at once\n");
    stop_.request_stop();
  }
}

}  // namespace luna::client
