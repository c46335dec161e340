// Models that are not one file: shards, diffusers folders and files of one component give the
// picture of the single file, and share its memory where their tensors are the same.
#include "tests/support/several_files.h"

#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/image/png.h"
#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"

namespace luna::support {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// One daemon over one SD1.5 and one SDXL in every layout.
class SeveralFiles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<ModelFolder>();
    for (const auto& [name, options] : families()) {
      folder_->write("checkpoints", name + ".safetensors", options);
      write_tiny_shards(models("checkpoints/" + name + "-shards.safetensors.index.json"), options,
                        3);
      write_diffusers_folder(models("diffusers/" + name), options, {.unet_shards = 2});
      write_tensors(models("unet/" + name + "-u.safetensors"), diffusers_unet_tensors(options));
      write_tensors(models("vae/" + name + "-v.safetensors"), diffusers_vae_tensors(options));
      write_tensors(models("clip/" + name + "-l.safetensors"),
                    transformers_clip_l_tensors(options));
    }
    write_tensors(models("text_encoders/g/model.safetensors"),
                  transformers_clip_g_tensors(TinySd15Options::sdxl()));
    std::ofstream(models("text_encoders/g/config.json"))
        << transformers_clip_g_config(TinySd15Options::sdxl());
    DaemonProcess::Options options;
    options.tcp = true;
    daemon_ = DaemonProcess::start(folder_->path(), options);
    client_ = daemon_->connect();
    ASSERT_TRUE(client_);
  }
  static void TearDownTestSuite() {
    client_.reset();
    daemon_.reset();
    folder_.reset();
  }

  static std::vector<std::pair<std::string, TinySd15Options>> families() {
    TinySd15Options xl = TinySd15Options::sdxl();
    xl.vae_salt = "xl";
    return {{"sd", TinySd15Options()}, {"xl", xl}};
  }
  static std::string models(const std::string& name) {
    const fs::path path = folder_->models() / name;
    fs::create_directories(path.parent_path());
    return path.string();
  }

  static Result<std::vector<ComponentInfo>> inspected(const std::string& file) {
    return client_->inspect_model(file);
  }
  static Status refusal(const RequestedModels& models) {
    auto registered = client_->register_workflow("refused", models, 0, false);
    EXPECT_FALSE(registered.ok());
    return registered.status();
  }
  static RequestedModels checkpoint(const std::string& name) {
    RequestedModels models;
    models.checkpoint = ModelRef{name, Precision::kF32};
    return models;
  }
  static Image drawn(std::vector<std::string> with) {
    const std::string file = (folder_->path() / "picture.png").string();
    std::vector<std::string> arguments = {"generate",
                                          "--prompt",
                                          "a red boat",
                                          "--width",
                                          "64",
                                          "--height",
                                          "64",
                                          "--steps",
                                          "2",
                                          "--seed",
                                          "7",
                                          "--output",
                                          file,
                                          "--precision",
                                          "f32",
                                          "--address",
                                          daemon_->address()};
    arguments.insert(arguments.end(), with.begin(), with.end());
    const Ended made = run_program("luna", arguments);
    EXPECT_EQ(made.status, 0) << made.err;
    auto picture = read_png(file);
    EXPECT_TRUE(picture.ok()) << picture.status().to_string();
    return picture.ok() ? std::move(picture->image) : Image();
  }
  /// Content hashes of what lies on the worker, by slot.
  static std::map<Slot, std::set<std::string>> contents() {
    std::map<Slot, std::set<std::string>> contents;
    for (const WorkerInfo& worker : daemon_->status().workers)
      for (const LoadedModel& model : worker.report.models)
        contents[model.info.slot].insert(model.info.content_hash);
    return contents;
  }

  static bool is_loaded(const std::string& file) {
    for (const WorkerInfo& worker : daemon_->status().workers)
      for (const LoadedModel& model : worker.report.models)
        for (const std::string& path : model.paths)
          if (path.ends_with("/" + file)) return true;
    return false;
  }

  static std::unique_ptr<ModelFolder> folder_;
  static std::unique_ptr<DaemonProcess> daemon_;
  static std::unique_ptr<client::GrpcClient> client_;
};
std::unique_ptr<ModelFolder> SeveralFiles::folder_;
std::unique_ptr<DaemonProcess> SeveralFiles::daemon_;
std::unique_ptr<client::GrpcClient> SeveralFiles::client_;

TEST_F(SeveralFiles, EveryLayoutGivesThePictureOfTheSingleFileAndSharesItsMemory) {
  for (const auto& [name, options] : families()) {
    const Image single = drawn({"--checkpoint", name + ".safetensors"});
    ASSERT_FALSE(single.pixels.empty());
    EXPECT_EQ(drawn({"--checkpoint", name + "-shards.safetensors.index.json"}).pixels,
              single.pixels)
        << name << " in shards";
    EXPECT_EQ(drawn({"--checkpoint", name}).pixels, single.pixels) << name << " as a folder";
    std::vector<std::string> split = {"--unet",   name + "-u.safetensors",
                                      "--clip-l", name + "-l.safetensors",
                                      "--vae",    name + "-v.safetensors"};
    if (options.clip_g_width > 0) split.insert(split.end(), {"--clip-g", "g/model.safetensors"});
    EXPECT_EQ(drawn(split).pixels, single.pixels) << name << " in one file a component";
  }
  ASSERT_TRUE(wait_until([] { return is_loaded("xl-v.safetensors"); })) << "the last that was read";
  std::map<Slot, std::set<std::string>> found = contents();
  for (const Slot slot : {Slot::kUNet, Slot::kVae, Slot::kClipL})
    EXPECT_EQ(found[slot].size(), 2u) << slot_name(slot) << ": one of each family";
  EXPECT_EQ(found[Slot::kClipG].size(), 2u) << "fused in one layout, apart in the other";
}

TEST_F(SeveralFiles, AChangedShardIsAnotherModel) {
  const std::string index = models("checkpoints/moving.safetensors.index.json");
  TinySd15Options options;
  write_tiny_shards(index, options, 2);
  const Image before = drawn({"--checkpoint", "moving.safetensors.index.json"});
  options.unet_salt = "other";
  write_tiny_shards(index, options, 2);
  const Image after = drawn({"--checkpoint", "moving.safetensors.index.json"});
  EXPECT_NE(after.pixels, before.pixels);
  options.unet_salt = "";
  write_tiny_shards(index, options, 2);
  EXPECT_EQ(drawn({"--checkpoint", "moving.safetensors.index.json"}).pixels, before.pixels);
}

TEST_F(SeveralFiles, StatusEvictionAndTheListNameTheFolderAndTheIndex) {
  const auto listed = client_->list_models("");
  ASSERT_TRUE(listed.ok());
  std::set<std::string> names;
  for (const ModelFileInfo& file : listed->files) names.insert(file.folder + "/" + file.file);
  EXPECT_TRUE(names.contains("diffusers/sd"));
  EXPECT_TRUE(names.contains("checkpoints/sd-shards.safetensors.index.json"));
  EXPECT_FALSE(names.contains("checkpoints/sd-shards-00001-of-00003.safetensors"));

  TinySd15Options options;
  options.vae_salt = "evicted";
  write_diffusers_folder(models("diffusers/evicted"), options);
  ASSERT_TRUE(client_->load_model(Slot::kVae, {"evicted", Precision::kF32}).ok());
  const auto unloaded = client_->unload_model("evicted", true);
  ASSERT_TRUE(unloaded.ok()) << unloaded.status().to_string();
  EXPECT_GT(unloaded->freed_bytes, 0u);
  EXPECT_GT(unloaded->host_freed_bytes, 0u);
}

TEST_F(SeveralFiles, AFolderTellsWhatItHolds) {
  const auto components = inspected("xl");
  ASSERT_TRUE(components.ok()) << components.status().to_string();
  std::set<Slot> slots;
  for (const ComponentInfo& component : *components) slots.insert(component.slot);
  EXPECT_EQ(slots, (std::set<Slot>{Slot::kUNet, Slot::kVae, Slot::kClipL, Slot::kClipG}));
}

TEST_F(SeveralFiles, EveryLayoutTellsNamesTypesAndShapesOfItsTensors) {
  const auto of = [](const std::string& file) {
    const auto listed = client_->list_model_tensors(file);
    EXPECT_TRUE(listed.ok()) << file << ": " << listed.status().to_string();
    return listed.ok() ? *listed : std::vector<luna::NamedTensor>();
  };
  const std::string name = "model.diffusion_model.input_blocks.0.0.weight";
  const auto in = [](const std::vector<luna::NamedTensor>& tensors, const std::string& wanted) {
    for (const luna::NamedTensor& tensor : tensors)
      if (tensor.name == wanted) return tensor.spec;
    return TensorSpec();
  };
  const auto whole = of("sd.safetensors");
  EXPECT_EQ(of("sd-shards.safetensors.index.json"), whole);
  const TensorSpec conv_in = in(whole, name);
  EXPECT_THAT(conv_in.shape, ElementsAre(TinySd15Options().unet_channels, 4, 3, 3));
  EXPECT_EQ(in(of("sd"), "unet/conv_in.weight"), conv_in);
  EXPECT_TRUE(std::is_sorted(whole.begin(), whole.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
}

TEST_F(SeveralFiles, BadOnesAreRefusedWithIndexAndShard) {
  const std::string index = models("checkpoints/bad.safetensors.index.json");
  const auto paths = write_tiny_shards(index, {}, 2);
  fs::remove(paths.at(1));
  EXPECT_THAT(refusal(checkpoint("bad.safetensors.index.json")).message(),
              AllOf(HasSubstr("bad.safetensors.index.json"),
                    HasSubstr("'bad-00002-of-00002.safetensors', which should hold '")));
  std::ofstream(index) << R"({"weight_map": {"x": "bad-00001-of-00002.safetensors"}})";
  EXPECT_THAT(refusal(checkpoint("bad.safetensors.index.json")).message(),
              AllOf(HasSubstr("the tensor 'x'"), HasSubstr("bad-00001-of-00002.safetensors")));
  std::ofstream(index) << R"({"weight_map": {"x": "../sd.safetensors"}})";
  EXPECT_THAT(refusal(checkpoint("bad.safetensors.index.json")).message(),
              HasSubstr("leads out of the index's folder"));
  std::ofstream(index) << "{";
  EXPECT_THAT(refusal(checkpoint("bad.safetensors.index.json")).message(), HasSubstr("not JSON"));
}

TEST_F(SeveralFiles, OverTcpAFolderWithALinkOutsideIsRefused) {
  write_diffusers_folder(models("diffusers/linked"), {});
  const fs::path weights = models("diffusers/linked/vae/diffusion_pytorch_model.safetensors");
  fs::rename(weights, folder_->path() / "outside.safetensors");
  fs::create_symlink(folder_->path() / "outside.safetensors", weights);
  auto remote = daemon_->connect(daemon_->tcp_address());
  ASSERT_TRUE(remote);
  EXPECT_EQ(remote->register_workflow("remote", checkpoint("linked"), 0, false).status().code(),
            StatusCode::kPermissionDenied);
  EXPECT_TRUE(remote->register_workflow("remote", checkpoint("sd"), 0, false).ok());
}

TEST_F(SeveralFiles, EverySlotThatNothingFillsStandsInOneError) {
  RequestedModels unet;
  unet.slots[Slot::kUNet] = {"xl-u.safetensors", Precision::kF32};
  ASSERT_TRUE(client_->register_workflow("unet", unet, 0, false).ok()) << "a set may be partial";
  Workflow workflow(*client_, "unet");
  const Status status = workflow.encode("a boat").status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("clip_l (a file below text_encoders/, clip/"),
                                      HasSubstr("clip_g (a file below"),
                                      HasSubstr("also lacks vae (a file below vae/")));
  unet.slots[Slot::kVae] = {"nowhere.safetensors", Precision::kF32};
  unet.slots[Slot::kClipL] = {"xl-v.safetensors", Precision::kF32};
  unet.slots[Slot::kClipG] = {"vae/xl-v.safetensors", Precision::kF32};
  EXPECT_THAT(refusal(unet).message(),
              AllOf(HasSubstr("3 of the named models"), HasSubstr("vae: no file 'nowhere"),
                    HasSubstr("clip_l: no file 'xl-v"), HasSubstr("clip_g: the slot needs a")));
}

}  // namespace
}  // namespace luna::support
