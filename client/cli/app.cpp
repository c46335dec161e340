#include "client/cli/app.h"

#include <algorithm>

namespace luna::client {
namespace {

constexpr const char* kFooter = R"(First steps:
  luna doctor                                 what is wrong with this machine, if anything
  luna generate --prompt "a lighthouse"       a picture, luna.png
  luna models list                            the files below the model roots
  luna status                                 workers, models, jobs
  luna top                                    the same, live, with rates

Exit codes: 0 done; 1 failed, or a problem was found; 2 wrong arguments, bad request or file not found;
3 no daemon answers; 130 interrupted (the daemon has been told).)";

}  // namespace

std::unique_ptr<CLI::App> make_app(const Console& console, Action* action) {
  auto app =
      std::make_unique<CLI::App>("Pictures from diffusion models, made by the Luna daemon", "luna");
  app->require_subcommand(1);
  app->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app->footer(kFooter);
  app->get_formatter()->column_width(26);
  add_generate_command(app.get(), console, action);
  add_sheet_command(app.get(), console, action);
  add_status_command(app.get(), console, action);
  add_top_command(app.get(), console, action);
  add_models_command(app.get(), console, action);
  add_workflow_command(app.get(), console, action);
  add_doctor_command(app.get(), console, action);
  add_completion_command(app.get(), console, action);
  add_version_command(app.get(), console, action);
  return app;
}

int run_luna(const std::vector<std::string>& arguments, const Console& console) {
  Action action;
  const std::unique_ptr<CLI::App> app = make_app(console, &action);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app->parse(std::move(reversed));
  } catch (const CLI::ParseError& failure) {
    const int code = app->exit(failure, *console.out, *console.err);
    return code == 0 ? kExitOk : kExitUsage;
  }
  return action ? action() : kExitUsage;
}

}  // namespace luna::client
