// What an interactive client feels of a bulk job on the same worker: its latency alone, and while
// one call of many rows runs at bulk priority.
#include <atomic>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "tests/bench/latencies.h"
#include "tests/integration/calls.h"
#include "tests/support/wait_until.h"

namespace {

using luna::bench::Clock;
using luna::bench::Latencies;
using luna::bench::milliseconds_since;
using luna::support::Workflow;

struct Options {
  std::string address, checkpoint;
  int pictures = 20, steps = 20, cells = 16, rows = 64;
};

struct Measured {
  Latencies sample, picture;
};

/// One picture after the other: both prompts, sampling, decoding.
luna::Status make_pictures(Workflow& workflow, const Options& options, int pictures,
                           Measured& measured) {
  for (int i = 0; i < pictures; ++i) {
    const auto began = Clock::now();
    LUNA_ASSIGN_OR_RETURN(auto request, workflow.request("a red fox in the snow", "blurry",
                                                         1000u + i, options.cells));
    request.run.steps = options.steps;
    const auto sampling = Clock::now();
    LUNA_ASSIGN_OR_RETURN(const auto reply, workflow.sample(std::move(request)));
    measured.sample.add(milliseconds_since(sampling));
    LUNA_RETURN_IF_ERROR(workflow.decode(reply.latents[0]).status());
    measured.picture.add(milliseconds_since(began));
  }
  return {};
}

luna::Status run(const Options& options) {
  luna::client::ConnectOptions connect;
  connect.address = options.address;
  LUNA_ASSIGN_OR_RETURN(auto client, luna::client::GrpcClient::connect(connect));
  LUNA_ASSIGN_OR_RETURN(auto bulk_client, luna::client::GrpcClient::connect(connect));
  luna::RequestedModels models;
  models.checkpoint = luna::ModelRef{options.checkpoint, luna::Precision::kF32};
  LUNA_RETURN_IF_ERROR(client->register_workflow("interactive", models, 0, true).status());
  LUNA_RETURN_IF_ERROR(bulk_client->register_workflow("bulk", models, 0, true).status());
  Workflow interactive(*client, "interactive"), bulk(*bulk_client, "bulk");
  interactive.options().priority = luna::Priority::kInteractive;
  bulk.options().priority = luna::Priority::kBulk;

  Measured ignored, alone, beside;
  LUNA_RETURN_IF_ERROR(make_pictures(interactive, options, 2, ignored));
  LUNA_RETURN_IF_ERROR(make_pictures(interactive, options, options.pictures, alone));

  LUNA_ASSIGN_OR_RETURN(auto job, bulk.request("a blue boat", "", 1, options.cells));
  const luna::SampleRow row = job.rows[0];
  while (static_cast<int>(job.rows.size()) < options.rows) {
    job.rows.push_back(row);
    job.rows.back().noise.seed = job.rows.size();
  }
  job.run.steps = 10000;  // it outlasts the measurement, and ends with its client
  std::atomic<int> bulk_steps = 0;
  const auto unfinished =
      bulk.start(job, [&](const luna::SampleProgress& progress) { bulk_steps = progress.step; });
  if (!luna::support::wait_until([&] { return bulk_steps >= 2 || unfinished.arrived(); },
                                 std::chrono::minutes(2)) ||
      unfinished.arrived()) {
    return luna::error(luna::StatusCode::kInternal, "the bulk job of {} rows does not run",
                       options.rows);
  }
  const int steps_before = bulk_steps;
  const auto began = Clock::now();
  LUNA_RETURN_IF_ERROR(make_pictures(interactive, options, options.pictures, beside));
  const double seconds = milliseconds_since(began) / 1000;
  const int steps_beside = bulk_steps - steps_before;
  bulk_client.reset();
  luna::support::wait_until([&] { return unfinished.arrived(); });

  const auto line = [](const char* what, double share, const Latencies& a, const Latencies& b) {
    std::printf("%-12s p%-4.0f %9.1f %9.1f %9.2f\n", what, share * 100, a.at(share), b.at(share),
                b.at(share) / a.at(share));
  };
  std::printf("%d pictures of %d steps, %d cells each way, beside a bulk job of %d rows\n",
              options.pictures, options.steps, options.cells, options.rows);
  std::printf("interactive       alone, ms beside, ms    ratio\n");
  for (const double share : {0.5, 0.95}) line("picture", share, alone.picture, beside.picture);
  for (const double share : {0.5, 0.95}) line("sampling", share, alone.sample, beside.sample);
  std::printf("the bulk job went on meanwhile: %.2f of its steps a second\n",
              steps_beside / seconds);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Latency of an interactive client alone, and beside a bulk job of many rows on the same "
      "worker."};
  Options options;
  app.add_option("--address", options.address)->required();
  app.add_option("--checkpoint", options.checkpoint)->required();
  app.add_option("--pictures", options.pictures, "of the interactive client, in each part");
  app.add_option("--steps", options.steps, "of an interactive picture");
  app.add_option("--cells", options.cells, "latent cells each way, of both");
  app.add_option("--rows", options.rows, "of the bulk job; at most [limits] rows_per_call");
  CLI11_PARSE(app, argc, argv);
  const luna::Status status = run(options);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.to_string().c_str()), 1;
  return 0;
}
