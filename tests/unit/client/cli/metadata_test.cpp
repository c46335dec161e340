#include "client/cli/metadata.h"

#include <gtest/gtest.h>

#include "client/cli/picture_files.h"
#include "tests/support/temp_dir.h"

namespace luna::client {
namespace {

Settings all_settings() {
  Settings settings = with_defaults({});
  settings.checkpoint = "/models/checkpoints/sub/v1-5.safetensors";
  settings.prompt = "a (red:1.2) fox, \"Füchse\" 狐\nsecond line";
  settings.negative = "blur";
  settings.width = 640;
  settings.height = 512;
  settings.sampler = "dpmpp_2m";
  settings.scheduler = "karras";
  settings.cfg = 6.5;
  settings.seed = 18446744073709551615ull;
  settings.denoise = 0.1;
  return settings;
}

TEST(Metadata, TheRequestComesBackFromThePictureExactly) {
  const support::TempDir dir;
  Settings settings = all_settings();
  settings.image = "/a/i.png";
  settings.mask = "/a/m.png";
  settings.batch = 4;
  settings.batch_index = 3;
  settings.clip_skip = 2;
  settings.vae = "v.safetensors";
  settings.clip = "c.safetensors";
  settings.precision = "bf16";
  settings.clip_precision = "f32";
  settings.vae_precision = "fp16";
  const std::string path =
      dir.write("x.png", *encode_png(Image(8, 8, 3), picture_texts(settings, 640, 512)));
  const auto back = settings_of_picture(path);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(*back, settings);
}

TEST(Metadata, ParametersReadLikeA1111s) {
  const std::string text = a1111_parameters(all_settings());
  EXPECT_EQ(text.substr(text.find("\nNegative")),
            "\nNegative prompt: blur\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG "
            "scale: 6.5, "
            "Seed: 18446744073709551615, Size: 640x512, Model: v1-5, Denoising strength: 0.1, "
            "Version: luna 0.1.0");
}

TEST(Metadata, TheGraphHasComfysNodesAndEveryLinkLeadsToOne) {
  Settings settings = all_settings();
  settings.image = "/a/i.png";
  settings.mask = "/a/m.png";
  settings.batch = 2;
  settings.clip_skip = 2;
  settings.vae = "/models/vae/v.safetensors";
  settings.clip = "c.safetensors";
  const nlohmann::json graph = comfy_graph(settings);
  for (const auto& [id, node] : graph.items()) {
    ASSERT_TRUE(node.contains("class_type")) << id;
    for (const auto& [name, input] : node["inputs"].items()) {
      if (input.is_array()) {
        EXPECT_TRUE(graph.contains(input[0].get<std::string>())) << name;
      }
    }
  }
  EXPECT_EQ(graph["4"]["inputs"]["ckpt_name"], "sub/v1-5.safetensors");
  EXPECT_EQ(graph["16"]["inputs"]["vae_name"], "v.safetensors");
  EXPECT_EQ(graph["17"]["inputs"]["stop_at_clip_layer"], -2);
  EXPECT_EQ(graph["3"]["inputs"]["seed"], 18446744073709551615ull);
  EXPECT_EQ(graph["3"]["inputs"]["latent_image"][0], "14");
}

TEST(Metadata, FilesOfOneComponentEachHaveComfysLoaders) {
  Settings settings = all_settings();
  settings.checkpoint.reset();
  settings.unet = "/models/unet/u.safetensors";
  settings.clip = "l.safetensors";
  settings.clip_g = "/models/text_encoders/g.safetensors";
  settings.vae = "v.safetensors";
  const nlohmann::json graph = comfy_graph(settings);
  EXPECT_FALSE(graph.contains("4"));
  EXPECT_EQ(graph["18"]["class_type"], "UNETLoader");
  EXPECT_EQ(graph["18"]["inputs"]["unet_name"], "u.safetensors");
  EXPECT_EQ(graph["15"]["class_type"], "DualCLIPLoader");
  EXPECT_EQ(graph["15"]["inputs"]["clip_name2"], "g.safetensors");
  EXPECT_EQ(graph["3"]["inputs"]["model"][0], "18");
  EXPECT_NE(a1111_parameters(settings).find("Model: u,"), std::string::npos);
}

TEST(Metadata, ADiffusersFolderHasALoaderOfItsOwn) {
  Settings settings = all_settings();
  settings.checkpoint = "/models/diffusers/sdxl";
  const nlohmann::json graph = comfy_graph(settings);
  EXPECT_EQ(graph["4"]["class_type"], "DiffusersLoader");
  EXPECT_EQ(graph["4"]["inputs"]["model_path"], "sdxl");
}

TEST(Metadata, TheGraphOfAnInpaintingModelGivesItTheMaskedPicture) {
  Settings settings = all_settings();
  settings.image = "/a/i.png";
  settings.mask = "/a/m.png";
  settings.batch = 2;
  const nlohmann::json graph = comfy_graph(settings, true);
  EXPECT_EQ(graph["13"]["class_type"], "InpaintModelConditioning");
  EXPECT_EQ(graph["13"]["inputs"]["mask"], nlohmann::json::array({"12", 0}));
  EXPECT_EQ(graph["13"]["inputs"]["noise_mask"], true);
  EXPECT_FALSE(graph.contains("5"));
  const auto& sampler = graph["3"]["inputs"];
  EXPECT_EQ(sampler["positive"], nlohmann::json::array({"13", 0}));
  EXPECT_EQ(sampler["negative"], nlohmann::json::array({"13", 1}));
  EXPECT_EQ(graph["14"]["inputs"]["samples"], nlohmann::json::array({"13", 2}));
  EXPECT_EQ(sampler["latent_image"], nlohmann::json::array({"14", 0}));
}

TEST(Metadata, ATextToPictureGraphBeginsWithAnEmptyLatent) {
  const nlohmann::json graph = comfy_graph(all_settings());
  EXPECT_EQ(graph["5"]["class_type"], "EmptyLatentImage");
  EXPECT_EQ(graph["5"]["inputs"]["width"], 640);
  EXPECT_EQ(graph["3"]["inputs"]["latent_image"][0], "5");
  EXPECT_FALSE(graph.contains("17"));
}

TEST(Metadata, DamagedRequestsAreRefusedByName) {
  const support::TempDir dir;
  for (const std::string text :
       {"", "[]", "{\"format\":2,\"request\":{}}", "{\"format\":1,\"request\":{\"steps\":\"x\"}}",
        "{\"format\":1,\"request\":{\"stepz\":1}}", "{\"format\":1,\"request\":{\"steps\":0}}",
        "{\"format\":1,\"request\":{\"seed\":-1}}"}) {
    const std::string path = dir.write("x.png", *encode_png(Image(8, 8, 3), {{"luna", text}}));
    const auto settings = settings_of_picture(path);
    ASSERT_FALSE(settings.ok()) << text;
    EXPECT_NE(settings.status().message().find(path), std::string::npos) << text;
  }
}

TEST(Settings, AnotherBatchDropsThePlaceInTheOldOne) {
  Settings base;
  base.batch = 4;
  base.batch_index = 2;
  Settings over;
  over.batch = 4;
  EXPECT_EQ(merged(base, over).batch_index, 2);
  over.batch = 5;
  EXPECT_FALSE(merged(base, over).batch_index);
}

TEST(PictureFiles, SeveralPicturesAreNumbered) {
  EXPECT_EQ(picture_names("a/x.png", 1), (std::vector<std::string>{"a/x.png"}));
  EXPECT_EQ(picture_names("a/x.PNG", 2), (std::vector<std::string>{"a/x_0.PNG", "a/x_1.PNG"}));
}

TEST(PictureFiles, TheDefaultNameAvoidsWhatIsThere) {
  const support::TempDir dir;
  EXPECT_EQ(free_output(dir.path(), 1), dir.file("luna.png"));
  dir.write("luna.png", "");
  EXPECT_EQ(free_output(dir.path(), 1), dir.file("luna-2.png"));
  dir.write("luna_1.png", "");
  EXPECT_EQ(free_output(dir.path(), 2), dir.file("luna-2.png"));
}

}  // namespace
}  // namespace luna::client
