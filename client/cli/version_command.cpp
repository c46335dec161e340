#include "client/cli/command.h"
#include "common/config/version.h"

namespace luna::client {

void add_version_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command = app->add_subcommand("version", "Version of this command");
  const auto flags = std::make_shared<CommonFlags>();
  add_json_flag(command, flags.get());
  command->callback([flags, &console, action] {
    *action = [flags, &console] {
      if (flags->json) {
        print_json(console, {{"version", kVersion}});
      } else {
        *console.out << "luna " << kVersion << '\n';
      }
      return static_cast<int>(kExitOk);
    };
  });
}

}  // namespace luna::client
