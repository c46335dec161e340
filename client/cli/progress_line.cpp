#include "client/cli/progress_line.h"

#include <algorithm>

#include "client/cli/output.h"

namespace luna::client {

std::string progress_text(const GenerateProgress& progress) {
  switch (progress.stage) {
    case GenerateStage::kRegister:
      return "looking at the models";
    case GenerateStage::kEncode:
      return "encoding the prompt";
    case GenerateStage::kSample: {
      if (progress.step == 0) return fmt::format("step 0/{}", progress.steps);
      std::string text = fmt::format("step {}/{}, {:.2f} s/step", progress.step, progress.steps,
                                     progress.seconds_per_step);
      if (progress.step < progress.steps) {
        text += fmt::format(", {} left", human_seconds(progress.seconds_left));
      }
      return text;
    }
    case GenerateStage::kDecode:
      return fmt::format("decoding {}/{}", progress.pictures, progress.pictures_wanted);
    case GenerateStage::kDone:
      break;
  }
  return "done";
}

std::string progress_bar(int done, int of, int width) {
  const int filled = of > 0 ? std::clamp(width * done / of, 0, width) : 0;
  return fmt::format("[{}{}]", std::string(static_cast<std::size_t>(filled), '#'),
                     std::string(static_cast<std::size_t>(width - filled), '.'));
}

void ProgressLine::show(const GenerateProgress& progress) {
  const std::string text = progress_text(progress);
  if (terminal_) {
    const int done = progress.stage > GenerateStage::kSample ? progress.steps : progress.step;
    *err_ << "\r\x1b[K" << progress_bar(done, progress.steps, 24) << ' ' << text << std::flush;
    drawn_ = true;
    return;
  }
  if (progress.stage == GenerateStage::kSample && progress.steps > 0) {
    const int tenth = progress.step * 10 / progress.steps;
    if (tenth == last_tenth_) return;
    last_tenth_ = tenth;
  }
  if (progress.stage == GenerateStage::kDone || text == last_text_) return;
  last_text_ = text;
  *err_ << text << std::endl;
}

void ProgressLine::finish() {
  if (drawn_) *err_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace luna::client
