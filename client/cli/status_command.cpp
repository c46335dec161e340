#include "client/cli/command.h"
#include "client/cli/info_json.h"
#include "client/cli/status_view.h"

namespace luna::client {

void add_status_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command = app->add_subcommand(
      "status", "Workers, queues, workflows, loaded models, batches, jobs and events");
  const auto flags = std::make_shared<CommonFlags>();
  add_common_flags(command, flags.get());
  command->footer("Starts no daemon.\nExamples:\n  luna status\n  luna status --json | jq .jobs");
  command->callback([flags, &console, action] {
    *action = [flags, &console] {
      return with_client(console, *flags, false, [&](Client& client) -> Status {
        LUNA_ASSIGN_OR_RETURN(const StatusInfo status, client.admin().status());
        if (flags->json) {
          nlohmann::json object = to_json(status);
          object["address"] = client.connection().address;
          print_json(console, object);
        } else {
          print_status(*console.out, status, client.connection().address);
        }
        return {};
      });
    };
  });
}

}  // namespace luna::client
