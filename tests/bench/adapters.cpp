// What another strength of a LoRA costs: a sampling of one step whose set of adapters is new,
// beside one whose set was used before. The difference is what stands between request and first
// forward.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/rpc/grpc_client.h"
#include "tests/bench/latencies.h"
#include "tests/bench/waiting.h"

namespace {

using luna::bench::wait_for;

/// One step of one row of 8x8 latent cells, without guidance.
luna::SampleRequest small_sampling(const luna::TensorRef& context,
                                   const std::vector<luna::LoraRef>& loras) {
  luna::SampleRow row;
  row.latent.spec.shape = {4, 8, 8};
  row.guidance.cfg = 1;
  luna::ConditioningEntry entry;
  entry.cross_attn = context;
  row.conditioning["positive"] = {entry};
  row.loras = loras;
  luna::SampleRequest request;
  request.run.steps = 1;
  request.rows.push_back(std::move(row));
  return request;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Milliseconds of a one-step sampling with a LoRA set that is new, and known."};
  std::string address, checkpoint, lora;
  int switches = 10;
  app.add_option("--address", address)->required();
  app.add_option("--checkpoint", checkpoint)->required();
  app.add_option("--lora", lora, "as ModelRef.file, below loras/ or absolute")->required();
  app.add_option("--switches", switches);
  CLI11_PARSE(app, argc, argv);
  const auto fail = [](const luna::Status& status) {
    return std::fprintf(stderr, "%s\n", status.to_string().c_str()), 1;
  };

  luna::client::ConnectOptions connect;
  connect.address = address;
  auto client = luna::client::GrpcClient::connect(connect);
  if (!client.ok()) return fail(client.status());
  luna::RequestedModels models;
  models.checkpoint = luna::ModelRef{checkpoint, luna::Precision::kF32};
  auto workflow = (*client)->register_workflow("bench-adapters", models, 0, true);
  if (!workflow.ok()) return fail(workflow.status());
  luna::client::CallOptions call;
  call.workflow_id = "bench-adapters";
  auto text = wait_for<luna::EncodeTextReply>([&](auto done) {
    luna::EncodeTextRequest request;
    request.text = "a red fox in the snow";
    (*client)->encode_text(call, std::move(request), std::move(done));
  });
  if (!text.ok()) return fail(text.status());

  luna::Status status;
  const auto milliseconds = [&](const std::vector<luna::LoraRef>& loras) {
    const auto began = luna::bench::Clock::now();
    const auto reply = wait_for<luna::SampleReply>([&](auto done) {
      (*client)->sample(
          call, small_sampling(text->cross_attn, loras), [](const luna::SampleProgress&) {},
          std::move(done));
    });
    if (!reply.ok()) status = reply.status();
    return luna::bench::milliseconds_since(began);
  };
  milliseconds({});
  luna::bench::Latencies plain, changed, known;
  const double first = milliseconds({{lora, 0.5, 0}});
  for (int i = 0; i < switches && status.ok(); ++i) {
    const std::vector<luna::LoraRef> set = {{lora, 0.6 + 0.01 * i, 0}};
    changed.add(milliseconds(set));
    known.add(milliseconds(set));
    plain.add(milliseconds({}));
  }
  if (!status.ok()) return fail(status);
  const nlohmann::json report = {{"switches", switches},
                                 {"first_use_ms", first},
                                 {"another_strength_ms", changed.at(0.5)},
                                 {"known_set_ms", known.at(0.5)},
                                 {"without_ms", plain.at(0.5)},
                                 {"switch_ms", changed.at(0.5) - known.at(0.5)}};
  std::printf("%s\n", report.dump().c_str());
  return 0;
}
