// Four clients at work while workers are killed (SIGKILL) one after the other: what is lost, how
// far the latents are from the undisturbed ones, and what the clients wait.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <CLI/CLI.hpp>
#include <signal.h>

#include "tests/bench/latencies.h"
#include "tests/integration/calls.h"

namespace {

using luna::bench::Clock;
using luna::bench::Latencies;
using luna::bench::milliseconds_since;
using luna::support::Workflow;

constexpr int kSeeds = 4;  ///< of each client; every latent is compared with an undisturbed one

struct Options {
  std::string address;
  std::vector<std::string> checkpoints;
  int clients = 4, seconds = 60, cells = 16;
  double every = 3, latency = 1.5;
};

struct Picture {
  Clock::time_point began, ended;
  int seed = 0;
};

/// One client: its workflow, its request, and what its seeds give undisturbed.
struct Sender {
  std::unique_ptr<luna::client::GrpcClient> client;
  luna::SampleRequest request;
  std::map<int, luna::SampleReply> undisturbed;
};

struct Phase {
  std::mutex mutex;
  std::vector<Picture> pictures;
  int lost = 0;
  double worst_error = 0;
};

double latency_ms(const Picture& picture) {
  return std::chrono::duration<double, std::milli>(picture.ended - picture.began).count();
}

Latencies latencies_of(const Phase& phase) {
  Latencies latencies;
  for (const Picture& picture : phase.pictures) latencies.add(latency_ms(picture));
  return latencies;
}

/// All clients at once, one call after the other each, while `goes_on(calls so far)`.
void work(std::vector<Sender>& senders, int steps, Phase& phase,
          const std::function<bool(int)>& goes_on) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < senders.size(); ++i) {
    threads.emplace_back([&, i] {
      Sender& own = senders[i];
      Workflow workflow(*own.client, "kills-" + std::to_string(i));
      for (int call = 0; goes_on(call); ++call) {
        Picture picture;
        picture.seed = call % kSeeds;
        luna::SampleRequest request = own.request;
        request.run.steps = steps;
        request.rows[0].noise.seed = static_cast<std::uint64_t>(picture.seed);
        picture.began = Clock::now();
        const auto reply = workflow.sample(std::move(request));
        picture.ended = Clock::now();
        const std::lock_guard lock(phase.mutex);
        if (!reply.ok()) {
          ++phase.lost;
          std::fprintf(stderr, "lost: %s\n", reply.status().to_string().c_str());
          continue;
        }
        phase.pictures.push_back(picture);
        const auto [known, is_new] = own.undisturbed.try_emplace(picture.seed, *reply);
        if (!is_new) {
          phase.worst_error =
              std::max(phase.worst_error, luna::support::relative_error(*reply, known->second));
        }
      }
    });
  }
}

std::vector<Clock::time_point> kill_workers(luna::client::AdminService& admin,
                                            const Options& options) {
  std::vector<Clock::time_point> kills;
  std::mt19937_64 random(1);
  const auto began = Clock::now();
  for (int i = 1;; ++i) {
    const auto at = began + std::chrono::milliseconds(static_cast<int>(1000 * options.every * i));
    if (at > began + std::chrono::seconds(options.seconds)) break;
    std::this_thread::sleep_until(at);
    const auto status = admin.status();
    if (!status.ok()) continue;
    std::vector<pid_t> ready;
    for (const luna::WorkerInfo& worker : status->workers) {
      if (worker.state == "ready") ready.push_back(static_cast<pid_t>(worker.pid));
    }
    if (ready.empty()) continue;
    kills.push_back(Clock::now());
    ::kill(ready[random() % ready.size()], SIGKILL);
  }
  return kills;
}

void print(const Phase& undisturbed, const Phase& disturbed,
           const std::vector<Clock::time_point>& kills, std::uint64_t rerun) {
  const Latencies before = latencies_of(undisturbed), during = latencies_of(disturbed);
  const double median = before.at(0.5);
  Latencies first_after, under_way;
  for (const Clock::time_point kill : kills) {
    const Picture* first = nullptr;
    for (const Picture& picture : disturbed.pictures) {
      if (picture.ended > kill && (!first || picture.ended < first->ended)) first = &picture;
      if (picture.began < kill && picture.ended > kill) under_way.add(latency_ms(picture) - median);
    }
    if (first) first_after.add(latency_ms(*first) - median);
  }
  std::printf("                    pictures    p50, ms    p95, ms    max, ms   lost\n");
  const auto line = [](const char* what, const Latencies& latencies, int lost) {
    std::printf("%-18s %9zu %10.0f %10.0f %10.0f %6d\n", what, latencies.count(), latencies.at(0.5),
                latencies.at(0.95), latencies.at(1), lost);
  };
  line("undisturbed", before, undisturbed.lost);
  line("under kills", during, disturbed.lost);
  std::printf("%zu kills, %llu jobs run again; worst relative error of a latent %.2g\n",
              kills.size(), static_cast<unsigned long long>(rerun),
              std::max(undisturbed.worst_error, disturbed.worst_error));
  std::printf("over the undisturbed median        p50, ms    p95, ms    max, ms\n");
  const auto delay = [](const char* what, const Latencies& delays) {
    std::printf("%-32s %9.0f %10.0f %10.0f\n", what, delays.at(0.5), delays.at(0.95), delays.at(1));
  };
  delay("first picture after each kill", first_after);
  delay("pictures under way at a kill", under_way);
}

luna::Status run(const Options& options) {
  std::vector<Sender> senders;
  luna::client::ConnectOptions connect;
  connect.address = options.address;
  for (int i = 0; i < options.clients; ++i) {
    Sender& sender = senders.emplace_back();
    LUNA_ASSIGN_OR_RETURN(sender.client, luna::client::GrpcClient::connect(connect));
    luna::RequestedModels models;
    models.checkpoint = luna::ModelRef{
        options.checkpoints[static_cast<std::size_t>(i) % options.checkpoints.size()],
        luna::Precision::kF32};
    const std::string id = "kills-" + std::to_string(i);
    LUNA_RETURN_IF_ERROR(sender.client->register_workflow(id, models, 0, false).status());
    Workflow workflow(*sender.client, id);
    LUNA_ASSIGN_OR_RETURN(sender.request,
                          workflow.request("a red fox in the snow", "blurry", 0, options.cells));
  }

  // How many steps make a request of the wanted length, under this load.
  constexpr int kFewSteps = 20;
  Phase warm_up, calibration;
  work(senders, kFewSteps, warm_up, [](int calls) { return calls < 1; });
  work(senders, kFewSteps, calibration, [](int calls) { return calls < 2; });
  const double few = latencies_of(calibration).at(0.5);
  if (few <= 0) return luna::error(luna::StatusCode::kInternal, "no request came to its end");
  const int steps = std::max(1, static_cast<int>(1000 * options.latency * kFewSteps / few));
  for (Sender& sender : senders) sender.undisturbed.clear();

  Phase undisturbed, disturbed;
  auto until = Clock::now() + std::chrono::seconds(options.seconds / 2);
  work(senders, steps, undisturbed,
       [&](int calls) { return calls < kSeeds || Clock::now() < until; });

  const auto before = senders[0].client->status();
  if (!before.ok()) return before.status();
  std::vector<Clock::time_point> kills;
  {
    std::jthread killer([&] { kills = kill_workers(*senders[0].client, options); });
    until = Clock::now() + std::chrono::seconds(options.seconds);
    work(senders, steps, disturbed, [&](int) { return Clock::now() < until; });
  }
  const auto after = senders[0].client->status();
  if (!after.ok()) return after.status();
  std::printf("%d clients, %d steps a request, a kill every %.3g s for %d s\n", options.clients,
              steps, options.every, options.seconds);
  print(undisturbed, disturbed, kills, after->jobs.rerun - before->jobs.rerun);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Clients at work while workers of the daemon are killed (SIGKILL): requests lost, the error "
      "of the latents, and the latency. The daemon must run on this machine."};
  Options options;
  app.add_option("--address", options.address)->required();
  app.add_option("--checkpoint", options.checkpoints,
                 "one or more; the clients take them in turns, so that several workers are busy")
      ->required();
  app.add_option("--clients", options.clients);
  app.add_option("--seconds", options.seconds, "under kills; half as long undisturbed before");
  app.add_option("--every", options.every, "seconds between two kills");
  app.add_option("--latency", options.latency,
                 "seconds that an undisturbed request shall take; sets the number of steps");
  app.add_option("--cells", options.cells, "latent cells each way");
  CLI11_PARSE(app, argc, argv);
  const luna::Status status = run(options);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.to_string().c_str()), 1;
  return 0;
}
