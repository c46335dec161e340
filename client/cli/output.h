#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <stop_token>
#include <string>

#include "client/cli/exit_codes.h"
#include "client/include/luna/client/client.h"

namespace luna::client {

/// What a command reaches of the world; tests give their own.
struct Console {
  std::ostream* out = nullptr;  ///< results
  std::ostream* err = nullptr;  ///< progress, notes, errors
  bool err_is_terminal = false;
  bool out_is_terminal = false;
  int terminal = -1;  ///< descriptor of the terminal that keys come from; -1: none
  std::function<Result<std::unique_ptr<Client>>(const ClientOptions&)> connect;
  std::stop_token stop;  ///< requested by Ctrl-C once that only cancels
  /// From here on the first Ctrl-C requests a stop instead of ending the process.
  std::function<void()> on_cancellable = [] {};
  /// The same for a command that has something to put in order, but nothing to cancel.
  std::function<void()> on_stoppable = [] {};
};

/// What a person can do about a failure; empty when there is nothing to say.
std::string advice_for(const Status& status);

/// Writes "luna: what happened" and the advice to err, with `json` {"error": {...}} to out, and
/// returns the exit code.
int report_failure(const Console& console, const Status& status, bool json);

/// "1.5 GiB".
std::string human_bytes(std::uint64_t bytes);
/// "42 s", "3 min 5 s", "2 h 7 min".
std::string human_seconds(double seconds);

}  // namespace luna::client
