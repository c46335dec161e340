#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/cli/output.h"

namespace luna::client {

/// Parsing a command line ends in one of these; it runs afterwards and returns the exit code.
using Action = std::function<int()>;

/// Flags that every command has.
struct CommonFlags {
  std::string address;
  bool json = false;
};
void add_json_flag(CLI::App* command, CommonFlags* flags);
/// --address and --json.
void add_common_flags(CLI::App* command, CommonFlags* flags);

/// Each adds its subcommand to `app`; when it is chosen, *action is set.
void add_generate_command(CLI::App* app, const Console& console, Action* action);
void add_sheet_command(CLI::App* app, const Console& console, Action* action);
void add_status_command(CLI::App* app, const Console& console, Action* action);
void add_top_command(CLI::App* app, const Console& console, Action* action);
void add_models_command(CLI::App* app, const Console& console, Action* action);
void add_workflow_command(CLI::App* app, const Console& console, Action* action);
void add_doctor_command(CLI::App* app, const Console& console, Action* action);
void add_completion_command(CLI::App* app, const Console& console, Action* action);
void add_version_command(CLI::App* app, const Console& console, Action* action);

/// Connects as the flags say; a daemon that had to be started is named on err.
Result<std::unique_ptr<Client>> connect(const Console& console, const CommonFlags& flags,
                                        bool start_daemon);

/// Runs `work` on a connection and reports its failure.
int with_client(const Console& console, const CommonFlags& flags, bool start_daemon,
                const std::function<Status(Client&)>& work);

/// Prints JSON as the result of a command.
void print_json(const Console& console, const nlohmann::json& object);

}  // namespace luna::client
