// What another strength of a LoRA costs, merged and row by row: a sampling of one step whose set is
// new, beside one whose set was used before; the difference is what stands between request and
// first forward. And what sets of their own cost the rows of a forward.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/rpc/grpc_client.h"
#include "tests/bench/latencies.h"
#include "tests/bench/waiting.h"

namespace {

using luna::bench::wait_for;

using Sets = std::vector<std::vector<luna::LoraRef>>;

/// One step without guidance: a row for each set, of `cells` x `cells`.
luna::SampleRequest one_step(const luna::TensorRef& context, const Sets& sets, int cells,
                             luna::LoraApplication application) {
  luna::SampleRequest request;
  request.run.steps = 1;
  request.lora_application = application;
  for (const std::vector<luna::LoraRef>& loras : sets) {
    luna::SampleRow row;
    row.latent.spec.shape = {4, cells, cells};
    row.guidance.cfg = 1;
    luna::ConditioningEntry entry;
    entry.cross_attn = context;
    row.conditioning["positive"] = {entry};
    row.loras = loras;
    request.rows.push_back(std::move(row));
  }
  return request;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Milliseconds of a one-step sampling with LoRA sets that are new, known, and many."};
  std::string address, checkpoint, lora;
  int switches = 10, cells = 32, repeats = 3;
  app.add_option("--address", address)->required();
  app.add_option("--checkpoint", checkpoint)->required();
  app.add_option("--lora", lora, "as ModelRef.file, below loras/ or absolute")->required();
  app.add_option("--switches", switches);
  app.add_option("--cells", cells, "Extents of the latents of several rows");
  app.add_option("--repeats", repeats, "Forwards of each kind with several rows");
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
  const auto milliseconds = [&](const Sets& sets, int cells, luna::LoraApplication application) {
    const auto began = luna::bench::Clock::now();
    const auto reply = wait_for<luna::SampleReply>([&](auto done) {
      (*client)->sample(
          call, one_step(text->cross_attn, sets, cells, application),
          [](const luna::SampleProgress&) {}, std::move(done));
    });
    if (!reply.ok()) status = reply.status();
    return luna::bench::milliseconds_since(began);
  };
  using luna::LoraApplication;
  nlohmann::json report = {{"switches", switches}};
  milliseconds({{}}, 8, LoraApplication::kAuto);
  double strength = 0.5;
  const auto switching = [&](LoraApplication application) {
    luna::bench::Latencies changed, known, plain;
    const double first = milliseconds({{{lora, strength, 0}}}, 8, application);
    for (int i = 0; i < switches && status.ok(); ++i) {
      const Sets set = {{{lora, strength += 0.01, 0}}};
      changed.add(milliseconds(set, 8, application));
      known.add(milliseconds(set, 8, application));
      plain.add(milliseconds({{}}, 8, application));
    }
    return nlohmann::json{{"first_use_ms", first},
                          {"another_strength_ms", changed.at(0.5)},
                          {"known_set_ms", known.at(0.5)},
                          {"without_ms", plain.at(0.5)},
                          {"switch_ms", changed.at(0.5) - known.at(0.5)}};
  };
  report["merged"] = switching(LoraApplication::kMerged);
  report["row_wise"] = switching(LoraApplication::kRowWise);
  for (const int rows : {1, 4, 8}) {
    luna::bench::Latencies plain, own_sets, one_merged;
    const Sets none(static_cast<std::size_t>(rows));
    Sets different = none;
    for (auto& set : different) set = {{lora, strength += 0.01, 0}};
    const Sets equal(static_cast<std::size_t>(rows), {{lora, 0.5, 0}});
    milliseconds(equal, cells, LoraApplication::kMerged);
    for (int i = 0; i < repeats && status.ok(); ++i) {
      plain.add(milliseconds(none, cells, LoraApplication::kAuto));
      own_sets.add(milliseconds(different, cells, LoraApplication::kRowWise));
      one_merged.add(milliseconds(equal, cells, LoraApplication::kMerged));
    }
    if (!status.ok()) break;
    report["rows"][std::to_string(rows)] = {
        {"without_ms", plain.at(0.5)},
        {"own_set_each_row_wise_ms", own_sets.at(0.5)},
        {"one_set_merged_ms", one_merged.at(0.5)},
        {"overhead_percent", 100 * (own_sets.at(0.5) / plain.at(0.5) - 1)}};
  }
  if (!status.ok()) return fail(status);
  std::printf("%s\n", report.dump().c_str());
  return 0;
}
