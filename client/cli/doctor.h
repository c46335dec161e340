#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/config/config.h"

namespace luna::client {

enum class Verdict { kOk, kWarning, kProblem };
std::string_view verdict_name(Verdict verdict);  ///< "ok", "warning", "problem"

/// One line of `luna doctor`.
struct Finding {
  std::string subject;  ///< "GPU driver", "model roots", ...
  Verdict verdict = Verdict::kOk;
  std::string what;    ///< what was found
  std::string advice;  ///< what to do; empty when all is well
};

/// Where things lie on the machine that is looked at; tests point these elsewhere.
struct Machine {
  std::string proc_nvidia = "/proc/driver/nvidia";
  std::string dev = "/dev";
  std::string program_folder;  ///< of the luna command
  std::string runtime_folder;  ///< of the sockets
  std::string home;
  std::string share;  ///< $LUNA_SHARE
  /// What the loader finds for a program: lines "libx.so => /path" or "libx.so => not found".
  std::function<Result<std::string>(const std::string& program)> loaded_libraries;
};

/// This machine, as it is.
Machine this_machine();

/// A config file that cannot be read is the finding, and the defaults are looked at further.
Finding check_config(const Result<std::optional<std::string>>& file, const Result<Config>& config);
Finding check_driver(const Machine& machine);
std::vector<Finding> check_gpus(const Machine& machine);
/// lunad and luna-worker beside this command, and the libraries that the worker needs.
std::vector<Finding> check_programs(const Machine& machine, const Config& config);
Finding check_vocabulary(const Machine& machine, const Config& config);
std::vector<Finding> check_roots(const Config& config);
Finding check_sockets(const Machine& machine);

}  // namespace luna::client
