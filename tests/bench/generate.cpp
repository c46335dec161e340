// Pictures per second of N clients that each make M pictures one after the other: encode both
// prompts, sample, decode.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/rpc/grpc_client.h"
#include "tests/bench/waiting.h"

namespace {

using luna::bench::wait_for;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string address, checkpoint, sampler = "euler", scheduler = "normal", precision = "f32";
  int clients = 1, pictures = 4, steps = 8, size = 256;
  double cfg = 7;
};

luna::Status make_picture(luna::client::GrpcClient& client, const luna::client::CallOptions& call,
                          const Options& options, std::uint64_t seed) {
  luna::SampleRow row;
  for (const auto& [sign, text] :
       {std::pair("positive", "a red fox in the snow"), std::pair("negative", "blurry")}) {
    LUNA_ASSIGN_OR_RETURN(auto encoded, wait_for<luna::EncodeTextReply>([&](auto done) {
                            luna::EncodeTextRequest request;
                            request.text = text;
                            client.encode_text(call, std::move(request), std::move(done));
                          }));
    luna::ConditioningEntry entry;
    entry.cross_attn = encoded.cross_attn;
    row.conditioning[sign] = {entry};
  }
  row.latent.spec.shape = {4, options.size / 8, options.size / 8};
  row.noise.seed = seed;
  row.guidance.cfg = options.cfg;
  luna::SampleRequest request;
  request.run.sampler = options.sampler;
  request.run.scheduler = options.scheduler;
  request.run.steps = options.steps;
  request.rows.push_back(std::move(row));
  LUNA_ASSIGN_OR_RETURN(auto sampled, wait_for<luna::SampleReply>([&](auto done) {
                          client.sample(
                              call, std::move(request), [](const luna::SampleProgress&) {},
                              std::move(done));
                        }));
  luna::VaeDecodeRequest decode;
  decode.latent = sampled.latents[0];
  decode.latent.spec.shape.insert(decode.latent.spec.shape.begin(), 1);
  decode.as_u8 = true;
  return wait_for<luna::VaeDecodeReply>(
             [&](auto done) { client.vae_decode(call, std::move(decode), std::move(done)); })
      .status();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Pictures per second of N clients that each make M pictures one after the other."};
  Options options;
  app.add_option("--address", options.address)->required();
  app.add_option("--checkpoint", options.checkpoint)->required();
  app.add_option("--clients", options.clients);
  app.add_option("--pictures", options.pictures, "of each client");
  app.add_option("--steps", options.steps);
  app.add_option("--size", options.size, "pixels each way");
  app.add_option("--cfg", options.cfg);
  app.add_option("--sampler", options.sampler);
  app.add_option("--scheduler", options.scheduler);
  app.add_option("--precision", options.precision);
  CLI11_PARSE(app, argc, argv);

  const auto precision = luna::precision_from_name(options.precision);
  if (!precision) return std::fprintf(stderr, "no precision '%s'\n", options.precision.c_str()), 2;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<luna::client::GrpcClient>> clients;
  for (int i = 0; i < options.clients; ++i) {
    luna::client::ConnectOptions connect;
    connect.address = options.address;
    auto client = luna::client::GrpcClient::connect(connect);
    if (!client.ok()) return std::fprintf(stderr, "%s\n", client.status().to_string().c_str()), 1;
    luna::RequestedModels models;
    models.checkpoint = luna::ModelRef{options.checkpoint, *precision};
    auto workflow = (*client)->register_workflow("bench-" + std::to_string(i), models, 0, true);
    if (!workflow.ok())
      return std::fprintf(stderr, "%s\n", workflow.status().to_string().c_str()), 1;
    clients.push_back(std::move(client).value());
  }
  const auto run = [&](int client, int pictures, std::uint64_t first_seed) {
    luna::client::CallOptions call;
    call.workflow_id = "bench-" + std::to_string(client);
    for (int picture = 0; picture < pictures; ++picture) {
      const luna::Status status =
          make_picture(*clients[client], call, options, first_seed + picture);
      if (!status.ok()) {
        std::fprintf(stderr, "%s\n", status.to_string().c_str());
        ++failures;
      }
    }
  };
  run(0, 1, 1);

  const auto began = Clock::now();
  for (int i = 0; i < options.clients; ++i)
    threads.emplace_back(run, i, options.pictures, 1000 * (i + 1));
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  if (failures) return 1;
  const int pictures = options.clients * options.pictures;
  const nlohmann::json report = {{"clients", options.clients},
                                 {"pictures", pictures},
                                 {"seconds", seconds},
                                 {"pictures_per_s", pictures / seconds},
                                 {"steps_per_s", pictures * options.steps / seconds}};
  std::printf("%s\n", report.dump().c_str());
  return 0;
}
