#pragma once

#include <string>
#include <string_view>

#include <spdlog/logger.h>

#include "common/base/status.h"
#include "common/base/strong_id.h"

namespace luna::log {

/// Sets up this process's log: one line an event on stderr, and in `file` too unless that is empty
/// (64 MiB, then a new one; three are kept). `level` is trace, debug, info, warn, error or off;
/// `process` stands in every line. Before the first call, info and above go to stderr.
/// INVALID_ARGUMENT for an unknown level, PERMISSION_DENIED when the file cannot be written; the
/// set-up is then as before.
Status init(std::string_view level, const std::string& file, std::string_view process);

/// The logger of a module ("ipc", "supervisor"); lives as long as the process, whatever init()
/// changes.
spdlog::logger& logger(std::string_view module);

/// A field of a line: "job=17", "worker=2".
std::string field(JobId id);
std::string field(WorkerId id);

}  // namespace luna::log
