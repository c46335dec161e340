#pragma once

#include <ostream>
#include <string>

#include "client/cli/status_rates.h"
#include "common/types/info.h"

namespace luna::client {

/// The whole status as tables: what `luna status` prints, and `luna top` with `rates` again and
/// again. null: no rates.
void print_status(std::ostream& out, const StatusInfo& status, const std::string& address,
                  const StatusRates* rates = nullptr);

/// One line about it, for logs: "12:01:07 2 running, 3 queued, 0.5 jobs/s, ...".
std::string status_line(const StatusInfo& status, const StatusRates& rates, double unix_time);

}  // namespace luna::client
