#include "client/cli/app.h"
#include "client/cli/completion.h"

namespace luna::client {

void add_completion_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command = app->add_subcommand("completion", "Print a completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  const auto flags = std::make_shared<CommonFlags>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  add_json_flag(command, flags.get());
  command->footer(
      "Examples:\n  luna completion bash > ~/.local/share/bash-completion/completions/luna\n"
      "  luna completion zsh > ~/.zfunc/_luna\n"
      "  luna completion fish > ~/.config/fish/completions/luna.fish");
  command->callback([shell, flags, &console, action] {
    *action = [shell, flags, &console] {
      Action unused;
      const std::unique_ptr<CLI::App> whole = make_app(console, &unused);
      const std::string script = completion_script(*whole, *shell);
      if (flags->json) {
        print_json(console, {{"shell", *shell}, {"script", script}});
      } else {
        *console.out << script;
      }
      return static_cast<int>(kExitOk);
    };
  });
}

}  // namespace luna::client
