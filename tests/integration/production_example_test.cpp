// Three products on one daemon, with models in common: each model is in memory once, and everybody
// gets the pictures that they would get alone.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"
#include "tests/support/tensor_error.h"

namespace luna::support {
namespace {

/// A set as SDXL's clients have it, each component in a file of its own.
struct Product {
  std::string name, unet, clip_l, clip_g, vae;
};

const std::vector<Product> kProducts = {
    {"A", "unet_a.safetensors", "clip_l_1.safetensors", "clip_g_1.safetensors", "vae.safetensors"},
    {"B", "unet_b.safetensors", "clip_l_1.safetensors", "clip_g_2.safetensors", "vae.safetensors"},
    {"C", "unet_c.safetensors", "clip_l_2.safetensors", "clip_g_2.safetensors", "vae.safetensors"}};

/// What one product got: the conditioning of both encoders, and pixels by seed.
struct Results {
  std::vector<float> conditioning;
  std::map<std::uint64_t, std::vector<float>> pixels;
};

void add_models(ModelFolder& folder) {
  folder.add_sdxl_unet("unet_a.safetensors", 1);
  folder.add_sdxl_unet("unet_b.safetensors", 2);
  folder.add_sdxl_unet("unet_c.safetensors", 3);
  folder.add_text_encoder("clip_l_1.safetensors", 4);
  folder.add_text_encoder("clip_l_2.safetensors", 5);
  folder.add_clip_g("clip_g_1.safetensors", 6);
  folder.add_clip_g("clip_g_2.safetensors", 7);
  folder.add_vae("vae.safetensors", 8);
}

Status register_product(client::GrpcClient& client, const Product& product, const std::string& id) {
  RequestedModels models;
  models.slots[Slot::kUNet] = {product.unet, Precision::kF32};
  models.slots[Slot::kClipL] = {product.clip_l, Precision::kF32};
  models.slots[Slot::kClipG] = {product.clip_g, Precision::kF32};
  models.slots[Slot::kVae] = {product.vae, Precision::kF32};
  return client.register_workflow(id, models, 0, true).status();
}

/// Registers under `id`, encodes, samples and decodes `pictures` pictures.
Result<Results> use(client::GrpcClient& client, const Product& product, const std::string& id,
                    int pictures) {
  LUNA_RETURN_IF_ERROR(register_product(client, product, id));
  Workflow workflow(client, id);
  Results results;
  for (int seed = 0; seed < pictures; ++seed) {
    LUNA_ASSIGN_OR_RETURN(const auto encoded, workflow.encode("a blue boat"));
    LUNA_ASSIGN_OR_RETURN(results.conditioning, floats_of(encoded.cross_attn));
    LUNA_ASSIGN_OR_RETURN(auto request, workflow.request("a blue boat", "fog", seed));
    request.run.steps = 6;
    LUNA_ASSIGN_OR_RETURN(const auto reply, workflow.sample(request));
    LUNA_ASSIGN_OR_RETURN(const auto decoded, workflow.decode(reply.latents[0]));
    LUNA_ASSIGN_OR_RETURN(results.pixels[seed], floats_of(decoded.pixels));
  }
  return results;
}

/// Slot and file of every copy on every worker.
std::multiset<std::string> copies(const StatusInfo& status) {
  std::multiset<std::string> found;
  for (const WorkerInfo& worker : status.workers) {
    for (const LoadedModel& model : worker.report.models) {
      std::string copy(slot_name(model.info.slot));
      for (const std::string& path : model.paths)
        (copy += ' ') += std::filesystem::path(path).filename().string();
      found.insert(copy);
    }
  }
  return found;
}

const std::multiset<std::string> kEachOnce = {
    "unet unet_a.safetensors",     "unet unet_b.safetensors",     "unet unet_c.safetensors",
    "clip_l clip_l_1.safetensors", "clip_l clip_l_2.safetensors", "clip_g clip_g_1.safetensors",
    "clip_g clip_g_2.safetensors", "vae vae.safetensors"};

constexpr int kPictures = 3;

TEST(ProductionExample, ThreeProductsShareEveryModelAndGetThePicturesThatTheyGetAlone) {
  ModelFolder folder;
  add_models(folder);
  std::vector<Results> alone;
  for (const Product& product : kProducts) {
    auto daemon = DaemonProcess::start(folder.path());
    auto client = daemon->connect();
    ASSERT_TRUE(client);
    auto results = use(*client, product, product.name, kPictures);
    ASSERT_TRUE(results.ok()) << product.name << ": " << results.status().to_string();
    alone.push_back(*results);
  }

  auto daemon = DaemonProcess::start(folder.path());
  std::vector<std::unique_ptr<client::GrpcClient>> clients;
  std::vector<Result<Results>> together;
  for (std::size_t i = 0; i < kProducts.size(); ++i) {
    clients.push_back(daemon->connect());
    ASSERT_TRUE(clients.back());
    together.emplace_back(Status(StatusCode::kInternal, "the client has not run"));
  }
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kProducts.size(); ++i) {
      threads.emplace_back(
          [&, i] { together[i] = use(*clients[i], kProducts[i], kProducts[i].name, kPictures); });
    }
  }
  for (std::size_t i = 0; i < kProducts.size(); ++i) {
    const std::string& name = kProducts[i].name;
    ASSERT_TRUE(together[i].ok()) << name << ": " << together[i].status().to_string();
    EXPECT_THAT(together[i]->conditioning, IsNear(alone[i].conditioning, 1e-4)) << name;
    ASSERT_EQ(together[i]->pixels.size(), alone[i].pixels.size());
    for (const auto& [seed, pixels] : alone[i].pixels)
      EXPECT_THAT(together[i]->pixels[seed], IsNear(pixels, 1e-4)) << name << ", seed " << seed;
  }
  EXPECT_GT(relative_error(alone[0].pixels[0], alone[1].pixels[0]), 0.01)
      << "two products' pictures differ, so that a mix-up would be seen";

  StatusInfo status;
  EXPECT_TRUE(wait_until([&] {
    status = daemon->status();
    return copies(status).size() >= kEachOnce.size();
  }));
  EXPECT_EQ(copies(status), kEachOnce);
  EXPECT_EQ(status.host_copies, kEachOnce.size());

  // A fourth client with A's set finds everything there.
  auto fourth = daemon->connect();
  ASSERT_TRUE(fourth);
  auto results = use(*fourth, kProducts[0], "D", 1);
  ASSERT_TRUE(results.ok()) << results.status().to_string();
  EXPECT_THAT(results->pixels[0], IsNear(alone[0].pixels[0], 1e-4));
  std::uint64_t done = 0;
  for (const WorkerInfo& worker : status.workers) done += worker.report.jobs_done;
  StatusInfo after;
  ASSERT_TRUE(wait_until([&] {
    after = daemon->status();
    std::uint64_t now = 0;
    for (const WorkerInfo& worker : after.workers) now += worker.report.jobs_done;
    return now >= done + 5;
  })) << "the workers' reports never showed the fourth client's calls";
  EXPECT_EQ(copies(after), kEachOnce);
  EXPECT_EQ(after.host_copies, status.host_copies);
  EXPECT_EQ(after.host_copy_bytes, status.host_copy_bytes);
  EXPECT_EQ(after.host_copy_hits, status.host_copy_hits);
}

}  // namespace
}  // namespace luna::support
