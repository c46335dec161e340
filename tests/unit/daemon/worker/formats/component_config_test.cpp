#include "daemon/worker/formats/component_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::map<std::string, std::string> of(std::string_view json) {
  const auto metadata = component_metadata(json);
  EXPECT_TRUE(metadata.ok()) << metadata.status().to_string();
  return metadata.ok() ? *metadata : std::map<std::string, std::string>();
}

TEST(ComponentConfig, AUNetsHeadsAreThoseThatDiffusersCallsTheirDimension) {
  EXPECT_THAT(of(R"({"_class_name": "UNet2DConditionModel", "attention_head_dim": 8,
                     "block_out_channels": [320, 640, 1280, 1280], "norm_num_groups": 32})"),
              ElementsAre(Pair("luna.unet.heads", "8")));
  EXPECT_THAT(of(R"({"_class_name": "UNet2DConditionModel", "attention_head_dim": 64,
                     "num_attention_heads": 4})"),
              ElementsAre(Pair("luna.unet.heads", "4")));
}

TEST(ComponentConfig, HeadsThatGrowWithTheWidthAreOneWidth) {
  EXPECT_THAT(of(R"({"_class_name": "UNet2DConditionModel", "attention_head_dim": [5, 10, 20],
                     "num_attention_heads": null, "block_out_channels": [320, 640, 1280]})"),
              ElementsAre(Pair("luna.unet.head_width", "64")));
}

TEST(ComponentConfig, AVaesGroupsAndAnEncodersHeadsAreRead) {
  EXPECT_THAT(of(R"({"_class_name": "AutoencoderKL", "norm_num_groups": 16})"),
              ElementsAre(Pair("luna.vae.groups", "16")));
  EXPECT_THAT(of(R"({"architectures": ["CLIPTextModel"], "num_attention_heads": 12,
                     "hidden_act": "quick_gelu"})"),
              ElementsAre(Pair("luna.clip_l.heads", "12")));
  EXPECT_THAT(of(R"({"architectures": ["CLIPTextModelWithProjection"], "hidden_act": "gelu",
                     "num_attention_heads": 20})"),
              ElementsAre(Pair("luna.clip_g.heads", "20")))
      << "the exact GELU tells OpenCLIP's";
}

TEST(ComponentConfig, OtherClassesSayNothing) {
  EXPECT_THAT(of("{}"), IsEmpty());
  EXPECT_THAT(of(R"({"_class_name": "FluxTransformer2DModel", "attention_head_dim": 128})"),
              IsEmpty());
}

TEST(ComponentConfig, NetworksThatAreBuiltOtherwiseAreNotServed) {
  const auto refusal = [](std::string_view json) {
    const auto metadata = component_metadata(json);
    EXPECT_EQ(metadata.status().code(), StatusCode::kUnimplemented);
    return metadata.status().message();
  };
  EXPECT_THAT(refusal(R"({"_class_name": "UNet2DConditionModel", "time_cond_proj_dim": 256})"),
              HasSubstr("'time_cond_proj_dim' 256"));
  EXPECT_THAT(refusal(R"({"_class_name": "UNet2DConditionModel", "norm_num_groups": 16})"),
              HasSubstr("norm_num_groups"));
  EXPECT_THAT(refusal(R"({"_class_name": "UNet2DConditionModel", "attention_head_dim": [5, 8],
                          "block_out_channels": [320, 640]})"),
              HasSubstr("attention_head_dim"));
  EXPECT_THAT(refusal(R"({"architectures": ["CLIPTextModel"], "hidden_act": "relu"})"),
              HasSubstr("'relu'"));
}

TEST(ComponentConfig, DamagedOnesAreRefusedByField) {
  const auto refusal = [](std::string_view json) {
    const auto metadata = component_metadata(json);
    EXPECT_EQ(metadata.status().code(), StatusCode::kInvalidArgument);
    return metadata.status().message();
  };
  EXPECT_THAT(refusal("{"), HasSubstr("no JSON"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("found array"));
  EXPECT_THAT(refusal(std::string(kMaxComponentConfig + 1, ' ')), HasSubstr("at most"));
  for (const char* heads : {"0", "-8", "\"8\"", "1.5", "[8, null]", "99999999"}) {
    EXPECT_THAT(
        refusal(fmt::format(
            R"({{"_class_name": "UNet2DConditionModel", "attention_head_dim": {}}})", heads)),
        AllOf(HasSubstr("attention_head_dim"), HasSubstr("whole number")))
        << heads;
  }
}

TEST(SchedulerConfig, OnlyModelsThatPredictNoiseAreServed) {
  EXPECT_TRUE(check_scheduler_config(R"({"prediction_type": "epsilon"})").ok());
  EXPECT_TRUE(check_scheduler_config("{}").ok()) << "diffusers' default is noise";
  const Status refused = check_scheduler_config(R"({"prediction_type": "v_prediction"})");
  EXPECT_EQ(refused.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(refused.message(), HasSubstr("'v_prediction'"));
  const Status edm = check_scheduler_config(
      R"({"_class_name": "EDMEulerScheduler", "prediction_type": "epsilon"})");
  EXPECT_THAT(edm.message(), HasSubstr("'EDMEulerScheduler'"));
  EXPECT_EQ(check_scheduler_config("x").code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace luna::worker
