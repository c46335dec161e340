#include "common/types/model_needs.h"

#include <gmock/gmock.h>

namespace luna {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<ComponentInfo> set_of(std::vector<Slot> slots, const std::string& unet = "sd1") {
  std::vector<ComponentInfo> components;
  for (const Slot slot : slots)
    components.push_back({slot, slot == Slot::kUNet ? unet : "other", "", 1, 1, ""});
  return components;
}

TEST(ModelNeeds, AnSd15PictureNeedsUNetClipLAndVae) {
  EXPECT_THAT(empty_slots(set_of({Slot::kUNet, Slot::kClipL, Slot::kVae})), IsEmpty());
  EXPECT_THAT(empty_slots(set_of({Slot::kUNet})), ElementsAre(Slot::kClipL, Slot::kVae));
}

TEST(ModelNeeds, AnSdxlPictureNeedsBothTextEncodersAndARefinerTheSecond) {
  EXPECT_THAT(empty_slots(set_of({Slot::kUNet, Slot::kVae, Slot::kClipL}, "sdxl")),
              ElementsAre(Slot::kClipG));
  EXPECT_THAT(empty_slots(set_of({Slot::kUNet, Slot::kVae}, "sdxl")),
              ElementsAre(Slot::kClipL, Slot::kClipG));
  EXPECT_THAT(empty_slots(set_of({Slot::kUNet, Slot::kClipG, Slot::kVae}, "sdxl_refiner")),
              IsEmpty());
}

TEST(ModelNeeds, WithoutAUNetAnyTextEncoderWillDo) {
  EXPECT_THAT(empty_slots({}), ElementsAre(Slot::kUNet, Slot::kClipL, Slot::kVae));
  EXPECT_THAT(empty_slots(set_of({Slot::kClipG, Slot::kVae})), ElementsAre(Slot::kUNet));
}

TEST(ModelNeeds, WordsSayWhereAFileMayLie) {
  EXPECT_EQ(slots_in_words({Slot::kClipG, Slot::kVae}),
            "clip_g (a file below text_encoders/, clip/, checkpoints/ or diffusers/), vae (a file "
            "below vae/, checkpoints/ or diffusers/)");
}

TEST(ModelNeeds, UNetsAndEncodersAreLookedForInComfyUIsOldFoldersToo) {
  EXPECT_THAT(model_folders(Slot::kUNet),
              ElementsAre("diffusion_models", "unet", "checkpoints", "diffusers"));
  EXPECT_THAT(model_folders(Slot::kClipG),
              ElementsAre("text_encoders", "clip", "checkpoints", "diffusers"));
}

}  // namespace
}  // namespace luna
