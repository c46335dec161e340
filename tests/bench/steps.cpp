// One evaluation of a tiny model over a step socket and over gRPC, without the forward itself,
// which the worker reports; beside what two processes need to pass a byte to and fro when each
// sleeps until it comes.
#include <cstdio>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/rpc/grpc_client.h"
#include "client/rpc/step_socket.h"
#include "common/local/socket.h"
#include "tests/bench/latencies.h"
#include "tests/bench/waiting.h"

namespace {

using luna::bench::Clock;
using luna::bench::milliseconds_since;

nlohmann::json quantiles(luna::bench::Latencies& microseconds) {
  return {{"p50_us", microseconds.at(0.5)},
          {"p90_us", microseconds.at(0.9)},
          {"p99_us", microseconds.at(0.99)}};
}

/// Calls `evaluate` (a reply, or a failure), and subtracts what the device took.
template <class Evaluate>
luna::Result<nlohmann::json> measure(int calls, Evaluate&& evaluate) {
  luna::bench::Latencies whole, overhead;
  for (int i = -calls / 10; i < calls; ++i) {
    const auto began = Clock::now();
    luna::Result<luna::DenoiseReply> reply = evaluate();
    const double took = 1000 * milliseconds_since(began);
    if (!reply.ok()) return reply.status();
    if (i < 0) continue;
    whole.add(took);
    overhead.add(took - 1e6 * reply->seconds_on_device);
  }
  return nlohmann::json{{"overhead", quantiles(overhead)}, {"whole", quantiles(whole)}};
}

/// A process that sends back each byte that comes; made before there are threads.
class EchoPeer {
 public:
  EchoPeer() {
    auto sockets = luna::socket_pair().value();
    pid_ = ::fork();
    if (pid_ == 0) {
      sockets.first.reset();
      for (char byte; ::recv(sockets.second.get(), &byte, 1, 0) == 1;)
        (void)!::send(sockets.second.get(), &byte, 1, MSG_NOSIGNAL);
      ::_exit(0);
    }
    socket_ = std::move(sockets.first);
  }
  ~EchoPeer() {
    socket_.reset();
    ::waitpid(pid_, nullptr, 0);
  }

  /// `trips` there and back, one after the other; each process sleeps until its byte comes.
  nlohmann::json round_trips(int calls, int trips) {
    luna::bench::Latencies microseconds;
    for (int i = -calls / 10; i < calls; ++i) {
      const auto began = Clock::now();
      for (int trip = 0; trip < trips; ++trip) {
        char byte = 'x';
        (void)!::send(socket_.get(), &byte, 1, MSG_NOSIGNAL);
        (void)!::recv(socket_.get(), &byte, 1, 0);
      }
      if (i >= 0) microseconds.add(1000 * milliseconds_since(began));
      // As between two evaluations: the peer is asleep by then.
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return quantiles(microseconds);
  }

 private:
  pid_t pid_ = -1;
  luna::UniqueFd socket_;
};

luna::DenoiseRequest evaluation(int cells, const luna::TensorRef& context) {
  const std::vector<float> values(static_cast<std::size_t>(4 * cells * cells), 0.5F);
  luna::DenoiseRow row;
  row.x = luna::tensor_of({4, cells, cells}, values);
  row.sigma = 2;
  row.conditioning.cross_attn = context;
  luna::DenoiseRequest request;
  request.rows.push_back(std::move(row));
  return request;
}

int fail(const luna::Status& status) {
  std::fprintf(stderr, "%s\n", status.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Overhead of one evaluation over a step socket and over gRPC."};
  std::string address, checkpoint;
  int calls = 1000, cells = 8, runs = 5, width = 64;
  app.add_option("--address", address)->required();
  app.add_option("--checkpoint", checkpoint)->required();
  app.add_option("--calls", calls, "in each run");
  app.add_option("--cells", cells, "of the latent, each way");
  app.add_option("--runs", runs, "the best of them counts");
  app.add_option("--context-width", width);
  CLI11_PARSE(app, argc, argv);

  EchoPeer peer;
  nlohmann::json limit = peer.round_trips(calls, 2);
  luna::client::ConnectOptions options;
  options.address = address;
  options.plane = "inline";
  auto grpc = luna::client::GrpcClient::connect(options);
  if (!grpc.ok()) return fail(grpc.status());
  options.plane = "shm";
  auto client = luna::client::GrpcClient::connect(options);
  if (!client.ok()) return fail(client.status());
  luna::RequestedModels models;
  models.checkpoint = luna::ModelRef{checkpoint, luna::Precision::kF32};
  auto workflow = (*client)->register_workflow("bench", models, 0, true);
  if (!workflow.ok()) return fail(workflow.status());

  luna::client::CallOptions call_options;
  call_options.workflow_id = "bench";
  const std::vector<float> words(static_cast<std::size_t>(77 * width), 0.1F);
  const luna::TensorRef context = luna::tensor_of({1, 77, width}, words);
  const auto called = [&](luna::client::GrpcClient& by) {
    return luna::bench::wait_for<luna::DenoiseReply>(
        [&](auto done) { by.denoise(call_options, evaluation(cells, context), std::move(done)); });
  };
  auto socket = (*client)->open_steps("bench", {});
  if (!socket.ok()) return fail(socket.status());
  luna::client::StepSocket steps(std::move(socket).value());

  nlohmann::json best;
  const auto keep_best = [&](const std::string& name, const nlohmann::json& found) {
    const auto p50 = [](const nlohmann::json& of) {
      return of["overhead"]["p50_us"].get<double>();
    };
    if (!best.contains(name) || p50(found) < p50(best[name])) best[name] = found;
  };
  for (int run = 0; run < runs; ++run) {
    const auto direct = measure(calls, [&] {
      return steps.denoise(evaluation(cells, context), luna::Priority::kNormal, {});
    });
    const auto library = measure(calls, [&] { return called(**client); });
    const auto over_grpc = measure(calls, [&] { return called(**grpc); });
    for (const auto* one : {&direct, &library, &over_grpc})
      if (!one->ok()) return fail(one->status());
    keep_best("step_socket", *direct);
    keep_best("step_socket_through_the_library", *library);
    keep_best("grpc", *over_grpc);
    nlohmann::json trips = peer.round_trips(calls, 2);
    if (trips["p50_us"].get<double>() < limit["p50_us"].get<double>()) limit = trips;
  }
  best["two_socket_round_trips"] = limit;
  best["calls"] = calls;
  best["runs"] = runs;
  std::printf("%s\n", best.dump(2).c_str());
  return 0;
}
