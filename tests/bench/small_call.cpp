// Overhead of a small call through front and worker (tokenising five words), beside a bare gRPC
// round trip to the same daemon (its health service, which never leaves the front).
#include <cstdio>
#include <future>

#include <CLI/CLI.hpp>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <nlohmann/json.hpp>

#include "client/rpc/grpc_client.h"
#include "tests/bench/latencies.h"
#include "tests/bench/waiting.h"

namespace {

using luna::bench::Clock;
using luna::bench::milliseconds_since;

template <class Call>
nlohmann::json measure(int calls, Call&& call) {
  for (int i = 0; i < calls / 10; ++i) call();
  luna::bench::Latencies microseconds;
  for (int i = 0; i < calls; ++i) {
    const auto began = Clock::now();
    call();
    microseconds.add(1000 * milliseconds_since(began));
  }
  return {{"p50_us", microseconds.at(0.5)},
          {"p90_us", microseconds.at(0.9)},
          {"p99_us", microseconds.at(0.99)},
          {"calls", calls}};
}

bool health_check(grpc::GenericStub& stub) {
  grpc::ClientContext context;
  const grpc::Slice no_fields;  // an empty HealthCheckRequest: the server as a whole
  grpc::ByteBuffer request(&no_fields, 1), response;
  std::promise<bool> done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](grpc::Status status) { done.set_value(status.ok()); });
  return done.get_future().get();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Overhead of a small call through front and worker, beside a bare gRPC round trip."};
  std::string address, checkpoint;
  int calls = 3000;
  app.add_option("--address", address)->required();
  app.add_option("--checkpoint", checkpoint)->required();
  app.add_option("--calls", calls);
  CLI11_PARSE(app, argc, argv);

  luna::client::ConnectOptions options;
  options.address = address;
  auto client = luna::client::GrpcClient::connect(options);
  if (!client.ok()) return std::fprintf(stderr, "%s\n", client.status().to_string().c_str()), 1;
  luna::RequestedModels models;
  models.checkpoint = luna::ModelRef{checkpoint, luna::Precision::kF32};
  auto workflow = (*client)->register_workflow("bench", models, 0, true);
  if (!workflow.ok()) return std::fprintf(stderr, "%s\n", workflow.status().to_string().c_str()), 1;

  luna::client::CallOptions call_options;
  call_options.workflow_id = "bench";
  int failures = 0;
  const auto through_worker = measure(calls, [&] {
    const auto reply = luna::bench::wait_for<luna::TokenizeReply>([&](auto done) {
      (*client)->tokenize(call_options, {"a red fox in snow"}, std::move(done));
    });
    failures += !reply.ok();
  });
  auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  grpc::GenericStub stub(channel);
  const auto bare = measure(calls, [&] { failures += !health_check(stub); });
  if (failures) return std::fprintf(stderr, "%d calls failed\n", failures), 1;

  nlohmann::json report = {{"through_front_and_worker", through_worker}, {"bare_grpc", bare}};
  report["ratio_p50"] = through_worker["p50_us"].get<double>() / bare["p50_us"].get<double>();
  std::printf("%s\n", report.dump(2).c_str());
  return 0;
}
