#include "client/cli/command.h"
#include "client/cli/doctor.h"
#include "common/config/config_paths.h"

namespace luna::client {
namespace {

struct DoctorFlags {
  CommonFlags common;
  std::string config;
};

Finding check_daemon(const Console& console, const CommonFlags& flags) {
  ClientOptions options;
  options.address = flags.address;
  options.client_name = "luna doctor";
  options.start_daemon = false;
  const auto client = console.connect(options);
  if (!client.ok()) {
    if (flags.address.empty() && client.status().code() == StatusCode::kUnavailable) {
      return {"daemon",
              Verdict::kOk,
              "none is running; 'luna generate' starts one when it needs it",
              {}};
    }
    return {"daemon", Verdict::kProblem, client.status().message(),
            "check --address, or start lunad there"};
  }
  const std::string& address = (*client)->connection().address;
  const Result<StatusInfo> status = (*client)->admin().status();
  if (!status.ok()) {
    return {"daemon", Verdict::kProblem, fmt::format("{}: {}", address, status.status().message()),
            "look into its log; stop it and start it again"};
  }
  std::size_t ready = 0;
  for (const WorkerInfo& worker : status->workers) ready += worker.state == "ready";
  Finding finding{"daemon",
                  Verdict::kOk,
                  fmt::format("lunad {} at {}, {} of {} workers ready", status->version, address,
                              ready, status->workers.size()),
                  {}};
  if (ready == 0) {
    finding.verdict = Verdict::kWarning;
    finding.advice = "'luna status' shows why its workers are not ready";
  }
  return finding;
}

std::vector<Finding> examine(const Console& console, const DoctorFlags& flags) {
  const Machine machine = this_machine();
  const auto file = find_config(flags.config);
  const Result<Config> loaded = file.ok() && *file ? load_config(**file) : Result<Config>(Config());
  const Config config = loaded.ok() ? *loaded : Config();
  std::vector<Finding> findings = {check_config(file, loaded), check_driver(machine)};
  const auto append = [&](std::vector<Finding> more) {
    findings.insert(findings.end(), more.begin(), more.end());
  };
  append(check_gpus(machine));
  append(check_programs(machine, config));
  findings.push_back(check_vocabulary(machine, config));
  append(check_roots(config));
  findings.push_back(check_sockets(machine));
  findings.push_back(check_daemon(console, flags.common));
  return findings;
}

int report(const Console& console, const std::vector<Finding>& findings, bool json) {
  int problems = 0;
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings) {
    problems += finding.verdict == Verdict::kProblem;
    list.push_back({{"subject", finding.subject},
                    {"verdict", verdict_name(finding.verdict)},
                    {"what", finding.what},
                    {"advice", finding.advice}});
    if (json) continue;
    *console.out << fmt::format("{:<8} {}: {}\n", verdict_name(finding.verdict), finding.subject,
                                finding.what);
    if (!finding.advice.empty()) *console.out << "         " << finding.advice << '\n';
  }
  if (json) print_json(console, {{"findings", list}, {"problems", problems}});
  return problems == 0 ? kExitOk : kExitFailed;
}

}  // namespace

void add_doctor_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command =
      app->add_subcommand("doctor", "What is wrong with this machine, and what to do about it");
  const auto flags = std::make_shared<DoctorFlags>();
  command->add_option("--config", flags->config,
                      "config.toml to look at (default: the one lunad would take)");
  add_common_flags(command, &flags->common);
  command->footer(
      "Looks at: configuration, driver, GPUs, lunad, luna-worker and its libtorch, CLIP's "
      "vocabulary,\n"
      "model roots, sockets and permissions, and whether a daemon answers. Starts none.\n"
      "Ends with 1 when there is a problem, with 0 otherwise.");
  command->callback([flags, &console, action] {
    *action = [flags, &console] {
      return report(console, examine(console, *flags), flags->common.json);
    };
  });
}

}  // namespace luna::client
