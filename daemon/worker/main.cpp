#include <CLI/CLI.hpp>

#include "daemon/worker/run_worker.h"

int main(int argc, char** argv) {
  luna::worker::WorkerOptions options;
  CLI::App app{"luna-worker: runs models on one device for lunad, which starts it"};
  app.add_option("--control-fd", options.control_fd, "Number of the connected control socket")
      ->required();
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
      ->capture_default_str();
  app.add_option("--log-file", options.log_file, "Log to this file too");
  CLI11_PARSE(app, argc, argv);
  return luna::worker::run_worker(options);
}
