#include "daemon/front/supervisor/end_kind.h"

#include <algorithm>
#include <array>
#include <csignal>

#include "common/types/worker_exit.h"

namespace luna::front {
namespace {

bool is_own_doing(int signal) {
  constexpr std::array kSignals = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP};
  return std::ranges::find(kSignals, signal) != kSignals.end();
}

}  // namespace

WorkerEnd end_kind(const ProcessEnd& end, const EndCircumstances& circumstances) {
  using Kind = WorkerEnd::Kind;
  const std::string how = end.in_words();
  if (is_own_doing(end.signal)) return {Kind::kCrash, how};
  if (circumstances.put_down) {
    return {circumstances.put_down->kind, fmt::format("{} ({})", circumstances.put_down->how, how)};
  }
  if (end.signal == SIGKILL && circumstances.out_of_memory) {
    return {Kind::kOutOfMemory, how + " by the kernel"};
  }
  if (end.signal != 0) return {Kind::kFromOutside, how};
  if (end.exit_code == kDeviceErrorExit) return {Kind::kCrash, "device error, " + how};
  return {end.exit_code == 0 && circumstances.asked ? Kind::kAsked : Kind::kCrash, how};
}

}  // namespace luna::front
