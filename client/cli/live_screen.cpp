#include "client/cli/live_screen.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/unique_fd.h"

namespace luna::client {
namespace {

constexpr char kCtrlC = 3;
constexpr int kColumns = 80, kRows = 24;  ///< of a terminal that does not tell

/// Becomes readable with the stop.
class StopSignal {
 public:
  explicit StopSignal(const std::stop_token& stop)
      : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), raise_(stop, Raise{event_.get()}) {}
  int fd() const { return event_.get(); }

 private:
  struct Raise {
    int fd;
    void operator()() const {
      const std::uint64_t one = 1;
      (void)!::write(fd, &one, sizeof one);
    }
  };
  UniqueFd event_;
  std::stop_callback<Raise> raise_;
};

/// The bytes of a UTF-8 character behind its first.
bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

std::string fitted(const std::string& text, int columns, int rows) {
  std::string out;
  int column = 0, row = 0;
  const std::size_t end = text.ends_with('\n') ? text.size() - 1 : text.size();
  for (std::size_t i = 0; i < end && row < rows; ++i) {
    const char c = text[i];
    if (c == '\n') {
      if (++row < rows) out += "\r\n";
      column = 0;
    } else if (continues(c)) {
      if (column <= columns) out += c;
    } else if (++column <= columns) {
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  return out;
}

LiveScreen::LiveScreen(int terminal, std::ostream* out) : terminal_(terminal), out_(out) {
  if (::tcgetattr(terminal_, &before_) == 0) {
    termios keys = before_;
    // Ctrl-C comes as a key, so that the terminal is put in order before the end.
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    changed_ = ::tcsetattr(terminal_, TCSADRAIN, &keys) == 0;
  }
  *out_ << "\x1b[?1049h\x1b[?25l" << std::flush;
}

LiveScreen::~LiveScreen() {
  *out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
  if (changed_) ::tcsetattr(terminal_, TCSADRAIN, &before_);
}

void LiveScreen::show(const std::string& text) {
  winsize size{};
  const bool known = ::ioctl(terminal_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  std::string lines = fitted(text, known ? size.ws_col : kColumns, known ? size.ws_row : kRows);
  // Each line clears what the one before it left, and the last one all below.
  std::string frame = "\x1b[H";
  for (const char c : lines) {
    if (c == '\r') frame += "\x1b[K";
    frame += c;
  }
  *out_ << frame << "\x1b[J" << std::flush;
}

LiveScreen::End LiveScreen::wait(std::chrono::milliseconds time, const std::stop_token& stop) {
  const StopSignal stopped(stop);
  const auto end = std::chrono::steady_clock::now() + time;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return End::kTime;
    pollfd waiting[2] = {{terminal_, POLLIN, 0}, {stopped.fd(), POLLIN, 0}};
    if (::poll(waiting, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) return End::kQuit;
    if (waiting[1].revents != 0) return End::kQuit;
    if (waiting[0].revents == 0) continue;
    char key = 0;
    const ssize_t taken = ::read(terminal_, &key, 1);
    if (taken == 0 || (taken < 0 && errno != EINTR && errno != EAGAIN)) return End::kQuit;
    if (taken == 1 && (key == 'q' || key == 'Q' || key == kCtrlC)) return End::kQuit;
  }
}

bool sleep_unless_stopped(std::chrono::milliseconds time, const std::stop_token& stop) {
  const StopSignal stopped(stop);
  pollfd waiting{stopped.fd(), POLLIN, 0};
  (void)::poll(&waiting, 1, static_cast<int>(time.count()));
  return !stop.stop_requested();
}

}  // namespace luna::client
