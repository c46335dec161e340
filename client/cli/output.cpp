#include "client/cli/output.h"

#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

namespace luna::client {

int exit_code_of(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return kExitOk;
    case StatusCode::kCancelled:
      return kExitInterrupted;
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kAlreadyExists:
      return kExitUsage;
    case StatusCode::kUnavailable:
      return kExitUnreachable;
    default:
      return kExitFailed;
  }
}

std::string advice_for(const Status& status) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
      return "'luna <command> --help' explains the flags and their ranges";
    case StatusCode::kNotFound:
      return "'luna models list' shows the files below the model roots";
    case StatusCode::kAlreadyExists:
      return "name another file with --output";
    case StatusCode::kPermissionDenied:
      return "over TCP only files below the model roots may be named; 'luna doctor' checks "
             "permissions";
    case StatusCode::kResourceExhausted:
      return "try again later, or with smaller or fewer pictures";
    case StatusCode::kFailedPrecondition:
      return "if a model is missing, name it (--unet, --vae, --clip, --clip-g); 'luna status' "
             "shows the daemon's "
             "state";
    case StatusCode::kUnimplemented:
      return "'luna models inspect FILE' tells what a file holds";
    case StatusCode::kUnavailable:
      return "'luna doctor' tells what is wrong; 'lunad' starts a daemon";
    case StatusCode::kDataLoss:
      return "the file may be damaged: compare it with its source";
    case StatusCode::kInternal:
      return "this is a fault of Luna's: please report it with the daemon's log";
    case StatusCode::kDeadlineExceeded:
      return "'luna status' shows what the daemon is busy with";
    case StatusCode::kOk:
    case StatusCode::kCancelled:
      break;
  }
  return {};
}

int report_failure(const Console& console, const Status& status, bool json) {
  const std::string advice = advice_for(status);
  *console.err << "luna: " << status.message() << '\n';
  if (!advice.empty()) *console.err << "      " << advice << '\n';
  if (json) {
    const nlohmann::json object = {{"error",
                                    {{"code", status_code_name(status.code())},
                                     {"message", status.message()},
                                     {"advice", advice}}}};
    *console.out << object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  }
  return exit_code_of(status);
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_seconds(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace luna::client
