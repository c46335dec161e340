#include "daemon/front/run_front.h"

#include <cstdio>
#include <memory>
#include <utility>

#include <signal.h>

#include "common/local/descriptors.h"
#include "common/log/log.h"
#include "daemon/front/command_line.h"
#include "daemon/front/front_daemon.h"
#include "daemon/front/installation.h"

namespace luna::front {
namespace {

ExitCode give_up(const Status& why) {
  std::fprintf(stderr, "lunad: %s\n", why.message().c_str());
  return why.code() == StatusCode::kAlreadyExists ? ExitCode::kAlreadyRunning
                                                  : ExitCode::kCannotStart;
}

ExitCode serve(Config config) {
  if (Status status = log::init(config.log.level, config.log.file, "lunad"); !status.ok()) {
    return give_up(status);
  }
  // A client that went away is an error of its write, not this program's end.
  ::signal(SIGPIPE, SIG_IGN);
  if (const auto limit = raise_descriptor_limit(); !limit.ok()) {
    log::logger("front").warn("{}", limit.status().message());
  }
  FrontDaemon daemon(
      std::make_shared<const Config>(with_installed_paths(std::move(config), program_folder())));
  if (Status status = daemon.start(); !status.ok()) return give_up(status);
  return daemon.run();
}

}  // namespace

int run_front(int argc, char** argv) {
  std::variant<Config, ExitCode> asked = read_command_line(argc, argv);
  if (const ExitCode* code = std::get_if<ExitCode>(&asked)) return static_cast<int>(*code);
  return static_cast<int>(serve(std::get<Config>(std::move(asked))));
}

}  // namespace luna::front
