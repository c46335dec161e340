#pragma once

#include <ostream>
#include <string>

#include "client/include/luna/client/generate.h"

namespace luna::client {

/// One line about a generation: stage, steps, pace, time left.
std::string progress_text(const GenerateProgress& progress);
/// "[#####...............]" of `width` cells.
std::string progress_bar(int done, int of, int width);

/// Shows progress: a bar that is redrawn on a terminal, else a plain line per stage and per tenth
/// of the steps. Calls come one at a time.
class ProgressLine {
 public:
  ProgressLine(std::ostream* err, bool terminal) : err_(err), terminal_(terminal) {}
  /// Leaves the terminal's line clean.
  ~ProgressLine() { finish(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const GenerateProgress& progress);
  void finish();

 private:
  std::ostream* err_;
  bool terminal_;
  bool drawn_ = false;
  int last_tenth_ = -1;
  std::string last_text_;
};

}  // namespace luna::client
