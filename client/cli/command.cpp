#include "client/cli/command.h"

namespace luna::client {

void add_json_flag(CLI::App* command, CommonFlags* flags) {
  command->add_flag("--json", flags->json, "Print the result as JSON on stdout");
}

void add_common_flags(CLI::App* command, CommonFlags* flags) {
  command->add_option(
      "--address", flags->address,
      "Daemon: unix:PATH or HOST:PORT (default: $LUNA_ADDRESS, your running lunad, else a "
      "private one is started)");
  add_json_flag(command, flags);
}

Result<std::unique_ptr<Client>> connect(const Console& console, const CommonFlags& flags,
                                        bool start_daemon) {
  ClientOptions options;
  options.address = flags.address;
  options.client_name = "luna";
  options.start_daemon = start_daemon;
  auto client = console.connect(options);
  if (client.ok() && (*client)->connection().started_daemon) {
    *console.err << "started a private lunad, which ends when idle (log: "
                 << (*client)->connection().log_file << ")\n";
  }
  return client;
}

int with_client(const Console& console, const CommonFlags& flags, bool start_daemon,
                const std::function<Status(Client&)>& work) {
  Result<std::unique_ptr<Client>> client = connect(console, flags, start_daemon);
  const Status status = client.ok() ? work(**client) : client.status();
  return status.ok() ? kExitOk : report_failure(console, status, flags.json);
}

void print_json(const Console& console, const nlohmann::json& object) {
  *console.out << object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace luna::client
