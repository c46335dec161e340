#include "common/log/log.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>

#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace luna::log {
namespace {

constexpr std::size_t kFileBytes = std::size_t{64} << 20;
constexpr std::size_t kFiles = 3;

constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 6> kLevels = {{
    {"trace", spdlog::level::trace},
    {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},
    {"warn", spdlog::level::warn},
    {"error", spdlog::level::err},
    {"off", spdlog::level::off},
}};

/// All loggers write to one sink that hands on to the present ones, so that init() reaches loggers
/// made before it.
struct Registry {
  Registry() {
    sink->set_sinks({std::make_shared<spdlog::sinks::stderr_sink_mt>()});
    sink->set_pattern(pattern("luna"));
  }
  static std::string pattern(std::string_view process) {
    return fmt::format("%Y-%m-%d %H:%M:%S.%e %L {}[%P] %n: %v", process);
  }

  std::mutex mutex;
  std::shared_ptr<spdlog::sinks::dist_sink_mt> sink =
      std::make_shared<spdlog::sinks::dist_sink_mt>();
  spdlog::level::level_enum level = spdlog::level::info;
  std::map<std::string, std::unique_ptr<spdlog::logger>, std::less<>> loggers;
};

/// Never destroyed: threads may log while the process ends.
Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

}  // namespace

Status init(std::string_view level, const std::string& file, std::string_view process) {
  const auto* const found = std::find_if(kLevels.begin(), kLevels.end(),
                                         [&](const auto& entry) { return entry.first == level; });
  if (found == kLevels.end()) {
    return error(StatusCode::kInvalidArgument,
                 "log level '{}'; expected trace, debug, info, warn, error or off", level);
  }
  std::vector<spdlog::sink_ptr> sinks = {std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (!file.empty()) {
    try {
      sinks.push_back(
          std::make_shared<spdlog::sinks::rotating_file_sink_mt>(file, kFileBytes, kFiles));
    } catch (const spdlog::spdlog_ex& failure) {
      return error(StatusCode::kPermissionDenied, "log file '{}': {}", file, failure.what());
    }
  }
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.sink->set_sinks(std::move(sinks));
  all.sink->set_pattern(Registry::pattern(process));
  all.level = found->second;
  for (auto& [name, one] : all.loggers) one->set_level(all.level);
  return {};
}

spdlog::logger& logger(std::string_view module) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  auto at = all.loggers.find(module);
  if (at == all.loggers.end()) {
    auto made = std::make_unique<spdlog::logger>(std::string(module), all.sink);
    made->set_level(all.level);
    made->flush_on(spdlog::level::warn);
    at = all.loggers.emplace(std::string(module), std::move(made)).first;
  }
  return *at->second;
}

std::string field(JobId id) { return fmt::format("job={}", id.value); }
std::string field(WorkerId id) { return fmt::format("worker={}", id.value); }

}  // namespace luna::log
