#pragma once

#include <chrono>
#include <ostream>
#include <stop_token>
#include <string>

#include <termios.h>

namespace luna::client {

/// `text` as it fits a terminal of this size: lines beyond `rows` and characters beyond `columns`
/// are left out, control characters become '?'. Lines are separated by "\r\n", with no last one.
std::string fitted(const std::string& text, int columns, int rows);

/// The whole terminal for a view that is drawn again and again. Made, it opens the alternate screen
/// and takes single keys unseen; destroyed, the terminal is as it was before.
class LiveScreen {
 public:
  enum class End { kTime, kQuit };

  /// `terminal`: a descriptor of the terminal, for keys and size; what is shown goes to `out`.
  LiveScreen(int terminal, std::ostream* out);
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  void show(const std::string& text);
  /// kQuit for q, Ctrl-C, a terminal that went away, or a requested stop.
  End wait(std::chrono::milliseconds time, const std::stop_token& stop);

 private:
  int terminal_;
  std::ostream* out_;
  termios before_{};
  bool changed_ = false;
};

/// Sleeps for `time`; false when the stop came first.
bool sleep_unless_stopped(std::chrono::milliseconds time, const std::stop_token& stop);

}  // namespace luna::client
