// Ten times the load that the queue takes: how fast a refusal is, whether it says when to come
// back, and what those that were accepted feel of it.
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include <CLI/CLI.hpp>

#include "tests/bench/latencies.h"
#include "tests/integration/calls.h"

namespace {

using luna::bench::Clock;
using luna::bench::Latencies;
using luna::bench::milliseconds_since;
using luna::support::Workflow;

struct Options {
  std::string address, checkpoint;
  int queue = 16, seconds = 10, steps = 4, cells = 16;
  double times = 10;
};

/// What became of the calls of one part.
struct Outcome {
  std::mutex mutex;
  std::condition_variable changed;
  Latencies accepted, refused;
  int unanswered = 0, without_hint = 0, failed = 0;
};

void start(luna::client::GrpcClient& client, const luna::SampleRequest& request, Outcome& outcome) {
  {
    const std::lock_guard lock(outcome.mutex);
    ++outcome.unanswered;
  }
  luna::client::CallOptions options;
  options.workflow_id = "overload";
  client.sample(
      options, request, [](const luna::SampleProgress&) {},
      [&outcome, began = Clock::now()](const luna::Result<luna::SampleReply>& reply) {
        const double took = milliseconds_since(began);
        const luna::Status& status = reply.status();
        const std::lock_guard lock(outcome.mutex);
        --outcome.unanswered;
        if (reply.ok()) {
          outcome.accepted.add(took);
        } else if (status.code() == luna::StatusCode::kResourceExhausted) {
          outcome.refused.add(took);
          if (status.message().find("retry in ") == std::string::npos) ++outcome.without_hint;
        } else {
          ++outcome.failed;
          std::fprintf(stderr, "%s\n", status.to_string().c_str());
        }
        outcome.changed.notify_all();
      });
}

void finish(Outcome& outcome) {
  std::unique_lock lock(outcome.mutex);
  outcome.changed.wait(lock, [&] { return outcome.unanswered == 0; });
}

/// As many calls as the queue takes, always. Finished calls a second.
double fill_the_queue(luna::client::GrpcClient& client, const luna::SampleRequest& request,
                      const Options& options, Outcome& outcome) {
  const auto began = Clock::now();
  const auto until = began + std::chrono::seconds(options.seconds);
  while (Clock::now() < until) {
    {
      std::unique_lock lock(outcome.mutex);
      outcome.changed.wait(lock, [&] { return outcome.unanswered < options.queue; });
    }
    start(client, request, outcome);
  }
  finish(outcome);
  return static_cast<double>(outcome.accepted.count()) / (milliseconds_since(began) / 1000);
}

/// Calls at a steady rate, whatever becomes of them.
void offer(luna::client::GrpcClient& client, const luna::SampleRequest& request, double per_second,
           const Options& options, Outcome& outcome) {
  const auto began = Clock::now();
  const int calls = static_cast<int>(per_second * options.seconds);
  for (int i = 0; i < calls; ++i) {
    std::this_thread::sleep_until(
        began + std::chrono::microseconds(static_cast<std::int64_t>(1e6 * i / per_second)));
    start(client, request, outcome);
  }
  finish(outcome);
}

luna::Status run(const Options& options) {
  luna::client::ConnectOptions connect;
  connect.address = options.address;
  LUNA_ASSIGN_OR_RETURN(auto client, luna::client::GrpcClient::connect(connect));
  luna::RequestedModels models;
  models.checkpoint = luna::ModelRef{options.checkpoint, luna::Precision::kF32};
  LUNA_RETURN_IF_ERROR(client->register_workflow("overload", models, 0, true).status());
  Workflow workflow(*client, "overload");
  LUNA_ASSIGN_OR_RETURN(auto request,
                        workflow.request("a red fox in the snow", "blurry", 1, options.cells));
  request.run.steps = options.steps;
  LUNA_RETURN_IF_ERROR(workflow.sample(request).status());

  Outcome full, overloaded;
  const double per_second = fill_the_queue(*client, request, options, full);
  offer(*client, request, options.times * per_second, options, overloaded);

  std::printf("a queue of %d, calls of %d steps; %.1f calls a second were finished at 1x\n",
              options.queue, options.steps, per_second);
  std::printf("                        calls    p50, ms    p99, ms    max, ms\n");
  const auto line = [](const char* what, const Latencies& latencies) {
    std::printf("%-18s %10zu %10.2f %10.2f %10.2f\n", what, latencies.count(), latencies.at(0.5),
                latencies.at(0.99), latencies.at(1));
  };
  line("accepted at 1x", full.accepted);
  char what[32];
  std::snprintf(what, sizeof what, "accepted at %.3gx", options.times);
  line(what, overloaded.accepted);
  line("refusals", overloaded.refused);
  std::printf("refused at 1x: %zu; refusals without a hint: %d; calls lost: %d\n",
              full.refused.count(), full.without_hint + overloaded.without_hint,
              full.failed + overloaded.failed);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Many times the load that a workflow's queue takes: the time of a refusal, its hint, and the "
      "latency of the calls that were accepted."};
  Options options;
  app.add_option("--address", options.address)->required();
  app.add_option("--checkpoint", options.checkpoint)->required();
  app.add_option("--queue", options.queue, "the daemon's [limits] queue_per_workflow");
  app.add_option("--times", options.times, "the rate offered, as a multiple of what is finished");
  app.add_option("--seconds", options.seconds, "of each part");
  app.add_option("--steps", options.steps, "of a call");
  app.add_option("--cells", options.cells, "latent cells each way");
  CLI11_PARSE(app, argc, argv);
  const luna::Status status = run(options);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.to_string().c_str()), 1;
  return 0;
}
