#include "daemon/front/command_line.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/config/config_paths.h"
#include "common/config/option_table.h"
#include "common/config/version.h"

namespace luna::front {
namespace {

constexpr const char* kFooter = R"(
Without --config the first of these is read: $LUNA_CONFIG, ./config.toml, ~/.config/luna/config.toml,
/etc/luna/config.toml. Options of the command line win over it.

SIGTERM and SIGINT let running calls end (at most drain_seconds); a second one ends at once.

Exit codes:
  0  ended as asked, or idle
  1  cannot start: an address, a model root or the worker program is missing
  2  wrong command line or configuration
  3  ended while calls were running
  4  another lunad has the socket)";

struct Options {
  std::string config, log_level;
  std::optional<std::string> address, listen, metrics;
  std::vector<std::string> model_roots;
  std::optional<std::uint32_t> idle_exit;
  bool print_config = false;
};

/// INVALID_ARGUMENT for an empty path, and for a relative one when the current folder is gone.
Result<std::string> absolute_path(const char* option, const std::string& path) {
  std::error_code failure;
  const std::filesystem::path absolute = std::filesystem::absolute(path, failure);
  if (failure) {
    return error(StatusCode::kInvalidArgument, "{} must be a path, found '{}': {}", option, path,
                 failure.message());
  }
  return absolute.lexically_normal().string();
}

/// What a file may hold as [server] idle_exit_seconds.
CLI::Range idle_exit_range() {
  const auto& options = server_options();
  const auto option =
      std::ranges::find(options, "idle_exit_seconds", &Option<Config::Server>::name);
  return CLI::Range(option->min, option->max);
}

Result<Config> configuration(const Options& options) {
  LUNA_ASSIGN_OR_RETURN(const std::optional<std::string> file, find_config(options.config));
  Config config;
  if (file) {
    LUNA_ASSIGN_OR_RETURN(config, load_config(*file));
  }
  if (options.address) {
    if (!options.address->starts_with("unix:") || options.address->size() == 5) {
      return error(StatusCode::kInvalidArgument,
                   "--address must be unix:PATH, found '{}' (TCP is --listen HOST:PORT)",
                   *options.address);
    }
    LUNA_ASSIGN_OR_RETURN(config.server.unix_socket,
                          absolute_path("--address", options.address->substr(5)));
  }
  if (options.listen) config.server.listen = *options.listen == "none" ? "" : *options.listen;
  if (options.metrics) config.metrics.listen = *options.metrics == "none" ? "" : *options.metrics;
  for (const std::string& root : options.model_roots) {
    LUNA_ASSIGN_OR_RETURN(std::string folder, absolute_path("--model-root", root));
    config.models.roots.push_back(std::move(folder));
  }
  if (options.idle_exit) config.server.idle_exit_seconds = *options.idle_exit;
  if (!options.log_level.empty()) config.log.level = options.log_level;
  return config;
}

}  // namespace

std::variant<Config, ExitCode> read_command_line(int argc, const char* const* argv) {
  Options options;
  CLI::App app(
      "lunad: Luna's daemon. Serves diffusion models to ComfyUI, the luna command and others.",
      "lunad");
  app.footer(kFooter);
  app.add_option("--config", options.config, "Configuration file")->type_name("FILE");
  app.add_option("--address", options.address, "Socket of local clients")->type_name("unix:PATH");
  app.add_option("--listen", options.listen, "TCP address, or none")->type_name("HOST:PORT");
  app.add_option("--metrics", options.metrics, "HTTP address of Prometheus metrics, or none")
      ->type_name("HOST:PORT");
  app.add_option("--model-root", options.model_roots,
                 "Folder in ComfyUI's layout; may be given again, adds to [models] roots")
      ->type_name("FOLDER")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--idle-exit", options.idle_exit, "End after so long without a client; 0: never")
      ->type_name("SECONDS")
      ->check(idle_exit_range());
  app.add_option("--log-level", options.log_level, "How much is logged")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_flag("--print-config", options.print_config, "Print the configuration in force, and end");
  app.set_version_flag("--version", std::string(kVersion));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? ExitCode::kEnded : ExitCode::kWrongUse;
  }
  Result<Config> config = configuration(options);
  if (!config.ok()) {
    std::fprintf(stderr, "lunad: %s\n", config.status().message().c_str());
    return ExitCode::kWrongUse;
  }
  if (options.print_config) {
    std::fputs(to_toml(*config).c_str(), stdout);
    return ExitCode::kEnded;
  }
  return *std::move(config);
}

}  // namespace luna::front
