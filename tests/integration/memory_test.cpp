// Memory: clients that share a model do not pay for it again, and what comes and goes leaves
// nothing behind.
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/footprint.h"
#include "tests/integration/model_folder.h"
#include "tests/support/repetitions.h"

namespace luna::support {
namespace {

Status make_picture(Workflow& workflow, std::uint64_t seed) {
  LUNA_ASSIGN_OR_RETURN(auto request, workflow.request("a blue boat", "fog", seed));
  request.run.steps = 4;
  LUNA_ASSIGN_OR_RETURN(const auto reply, workflow.sample(request));
  return workflow.decode(reply.latents[0]).status();
}

/// Memory of a fresh daemon after `clients` of them have made pictures at the same time.
std::uint64_t pss_with(const ModelFolder& folder, int clients) {
  auto daemon = DaemonProcess::start(folder.path(), {.extra_toml = kNoSpares});
  std::vector<std::unique_ptr<client::GrpcClient>> connections;
  std::vector<Workflow> workflows;
  for (int i = 0; i < clients; ++i) {
    connections.push_back(daemon->connect());
    if (!connections.back()) return 0;
    workflows.push_back(
        register_workflow(*connections.back(), "client-" + std::to_string(i), "wide.safetensors"));
  }
  std::vector<Status> ended(workflows.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < workflows.size(); ++i) {
      threads.emplace_back([&, i] {
        for (int picture = 0; picture < 3 && ended[i].ok(); ++picture)
          ended[i] = make_picture(workflows[i], 10 * i + picture);
      });
    }
  }
  for (const Status& status : ended) EXPECT_TRUE(status.ok()) << status.to_string();
  return footprint(*daemon).pss;
}

TEST(Memory, FourClientsOfOneModelNeedAtMostATenthMoreThanOneClient) {
  ModelFolder folder;
  TinySd15Options wide;
  wide.unet_channels = 128;
  wide.text_dtype = DType::kF16;
  const std::string file = folder.write("checkpoints", "wide.safetensors", wide);
  ASSERT_GT(std::filesystem::file_size(file), 100u << 20) << "weights shall dominate";

  const std::uint64_t one = pss_with(folder, 1), four = pss_with(folder, 4);
  ASSERT_GT(one, std::filesystem::file_size(file));
  EXPECT_LE(four * 10, one * 11) << (four >> 20) << " MiB with four clients, " << (one >> 20)
                                 << " MiB with one";
  RecordProperty("one_client_mib", static_cast<int>(one >> 20));
  RecordProperty("four_clients_mib", static_cast<int>(four >> 20));
}

TEST(Memory, TwentyModelsThatTakeTurnsInABudgetForFiveLeaveNothingBehind) {
  constexpr int kModels = 20, kBudgetModels = 5;
  const int cycles = repetitions(100, 1000);
  ModelFolder folder;
  std::uint64_t model_bytes = 0;
  for (int i = 0; i < kModels; ++i) {
    model_bytes = std::filesystem::file_size(
        folder.add_unet("unet-" + std::to_string(i) + ".safetensors", i));
  }
  // The text encoder is f16 in its file and f32 in memory.
  const std::uint64_t text_bytes =
      2 * std::filesystem::file_size(folder.add_text_encoder("text.safetensors", 1));
  const std::uint64_t budget_mib = (kBudgetModels * model_bytes + text_bytes) / (1 << 20) + 1;
  const std::string budget = std::to_string(budget_mib);
  auto daemon = DaemonProcess::start(
      folder.path(), {.extra_toml = kNoSpares + "memory_budget_mib = " + budget +
                                    "\n[memory]\nhost_copies_mib = " + budget + "\n"});
  auto client = daemon->connect();
  ASSERT_TRUE(client);

  const auto cycle = [&](int number) -> Status {
    const std::string file = "unet-" + std::to_string(number % kModels) + ".safetensors";
    const std::string id = "turn-" + std::to_string(number);
    RequestedModels models;
    models.slots[Slot::kUNet] = {file, Precision::kF32};
    models.slots[Slot::kClipL] = {"text.safetensors", Precision::kF32};
    LUNA_RETURN_IF_ERROR(client->register_workflow(id, models, 0, false).status());
    Workflow workflow(*client, id);
    LUNA_ASSIGN_OR_RETURN(auto request, workflow.request("a blue boat", "fog", number));
    request.run.steps = 1;
    LUNA_RETURN_IF_ERROR(workflow.sample(request).status());
    return client->release_workflow(id);
  };
  for (int i = 0; i < kModels; ++i) {
    const Status status = cycle(i);
    ASSERT_TRUE(status.ok()) << "cycle " << i << ": " << status.to_string();
  }
  const Footprint first_round = footprint(*daemon);
  const std::uint64_t copies_first_round = daemon->status().host_copy_bytes;
  for (int i = kModels; i < kModels + cycles; ++i) {
    const Status status = cycle(i);
    ASSERT_TRUE(status.ok()) << "cycle " << i << ": " << status.to_string();
  }
  Footprint after;
  EXPECT_TRUE(wait_until([&] {
    after = footprint(*daemon);
    return after.descriptors == first_round.descriptors;
  })) << in_words(after)
      << "\nafter the first round: " << in_words(first_round);
  EXPECT_LE(after.pss * 100, first_round.pss * 102)
      << in_words(after) << "\nafter the first round: " << in_words(first_round);
  const StatusInfo status = daemon->status();
  EXPECT_LE(status.host_copy_bytes, budget_mib << 20);
  EXPECT_LE(status.host_copy_bytes * 100, copies_first_round * 102);
  EXPECT_TRUE(status.workflows.empty());
  ASSERT_EQ(status.workers.size(), 1u);
  EXPECT_LE(status.workers[0].report.memory.at("weights"), budget_mib << 20);
  RecordProperty("first_round_kib", static_cast<int>(first_round.pss >> 10));
  RecordProperty("after_kib", static_cast<int>(after.pss >> 10));
}

}  // namespace
}  // namespace luna::support
