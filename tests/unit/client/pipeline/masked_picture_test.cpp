// What an inpainting model is given: as ComfyUI's InpaintModelConditioning makes it.
#include "client/pipeline/masked_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/pipeline/generate_stage.h"
#include "tests/unit/client/pipeline/fake_service.h"

namespace luna::client {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

/// A picture and a mask over it; every sample of the picture is `value`.
GenerateRequest request_of(int width, int height, std::uint8_t value) {
  GenerateRequest request;
  request.models.checkpoint = ModelRef{"inpainting.safetensors", Precision::kAuto};
  request.prompt = "a cat";
  request.run.steps = 2;
  request.image = Image(width, height, 3);
  std::ranges::fill(request.image->pixels, value);
  request.mask = Image(width, height, 1);
  return request;
}

std::vector<float> values(const TensorRef& tensor) { return floats_of(tensor).value(); }

TEST(MaskedPicture, IsGreyWhereTheMaskIsWhiteAndItselfElsewhere) {
  GenerateRequest request = request_of(8, 8, 51);
  request.mask->pixels[9] = 255;
  const MaskedPicture masked = masked_picture(request, {8, 8});
  EXPECT_THAT(masked.pixels.spec.shape, ElementsAre(1, 8, 8, 3));
  EXPECT_THAT(masked.mask.spec.shape, ElementsAre(1, 8, 8));
  const std::vector<float> pixels = values(masked.pixels);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    EXPECT_FLOAT_EQ(pixels[i], i / 3 == 9 ? 0.5F : 0.2F) << i;
}

TEST(MaskedPicture, RoundsTheMaskForThePixelsAlone) {
  GenerateRequest request = request_of(8, 8, 255);
  request.mask->pixels[0] = 127;  // below a half
  request.mask->pixels[1] = 128;
  const MaskedPicture masked = masked_picture(request, {8, 8});
  EXPECT_FLOAT_EQ(values(masked.pixels)[0], 1.0F);
  EXPECT_FLOAT_EQ(values(masked.pixels)[3], 0.5F);
  EXPECT_FLOAT_EQ(values(masked.mask)[0], 127 / 255.0F);
}

TEST(MaskedPicture, MaskAndPictureLoseTheSameEdgesWhenTheSizeIsNoMultipleOfTheFactor) {
  GenerateRequest request = request_of(13, 11, 255);
  request.mask->pixels[1 * 13 + 2] = 255;  // (13 - 8) / 2 to the right, (11 - 8) / 2 down
  const MaskedPicture masked = masked_picture(request, {8, 8});
  const std::vector<float> mask = values(masked.mask);
  EXPECT_THAT(mask, SizeIs(64));
  EXPECT_EQ(mask[0], 1.0F);
  EXPECT_EQ(std::count(mask.begin(), mask.end(), 0.0F), 63);
  EXPECT_FLOAT_EQ(values(masked.pixels)[0], 0.5F);
}

TEST(MaskedPicture, AMaskOfAnotherSizeIsStretchedOverThePictureBeforeItIsCut) {
  GenerateRequest request = request_of(8, 8, 0);
  request.mask = Image(2, 1, 1);
  request.mask->pixels = {0, 255};
  const std::vector<float> mask = values(masked_picture(request, {8, 8}).mask);
  // torch: interpolate([0, 1], size=8, mode="bilinear")
  const std::vector<float> row(mask.begin(), mask.begin() + 8);
  EXPECT_THAT(row, testing::Pointwise(testing::FloatNear(1e-6F),
                                      {0.0F, 0.0F, 0.125F, 0.375F, 0.625F, 0.875F, 1.0F, 1.0F}));
  EXPECT_EQ(std::vector<float>(mask.end() - 8, mask.end()), row);
}

TEST(MaskedPicture, BothFollowAGivenSize) {
  GenerateRequest request = request_of(40, 24, 255);
  std::ranges::fill(request.mask->pixels, 255);
  request.width = 16;
  request.height = 8;
  const MaskedPicture masked = masked_picture(request, {16, 8});
  EXPECT_THAT(masked.pixels.spec.shape, ElementsAre(1, 8, 16, 3));
  EXPECT_THAT(values(masked.mask), testing::Each(1.0F));
  EXPECT_THAT(values(masked.pixels), testing::Each(0.5F));
  request.mask = Image(3, 3, 1);
  EXPECT_THAT(masked_picture(request, {16, 8}).mask.spec.shape, ElementsAre(1, 8, 16));
}

class InpaintStage : public testing::Test {
 protected:
  InpaintStage() { fake_.components[0].inpaint = true; }
  Result<GenerateResult> run(const GenerateRequest& request) {
    GenerateContext context;
    context.inference = &fake_;
    context.admin = &fake_;
    return run_generate(context, request);
  }
  const SampleRow& row() { return fake_.sampled.at(0).second.rows.at(0); }
  FakeService fake_;
};

TEST_F(InpaintStage, BothEntriesOfARowHaveTheMaskedPictureAndTheRowItsMask) {
  const auto result = run(request_of(32, 16, 255));
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_TRUE(result->masked_picture);
  EXPECT_THAT(fake_.vae_encoded, SizeIs(2));
  for (const char* sign : {"positive", "negative"}) {
    const auto& extras = row().conditioning.at(sign)[0].extras;
    EXPECT_THAT(extras.at("concat_latent_image").spec.shape, ElementsAre(4, 2, 4));
    EXPECT_FALSE(extras.contains("concat_mask")) << "the row's mask counts, and is sent once";
  }
  EXPECT_THAT(row().noise_mask->spec.shape, ElementsAre(1, 16, 32));
}

TEST_F(InpaintStage, WithoutAMaskItIsAnOrdinaryGeneration) {
  GenerateRequest request = request_of(32, 16, 255);
  request.mask.reset();
  const auto result = run(request);
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->masked_picture);
  EXPECT_THAT(fake_.vae_encoded, SizeIs(1));
  EXPECT_TRUE(row().conditioning.at("positive")[0].extras.empty());
}

TEST_F(InpaintStage, APlainModelIsNotGivenTheMaskedPicture) {
  fake_.components[0].inpaint = false;
  const auto result = run(request_of(32, 16, 255));
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(result->masked_picture);
  EXPECT_THAT(fake_.vae_encoded, SizeIs(1));
  EXPECT_TRUE(row().conditioning.at("positive")[0].extras.empty());
  EXPECT_TRUE(row().noise_mask);
}

TEST_F(InpaintStage, OfARegisteredWorkflowTheServerIsAskedWhatItsModelTakes) {
  GenerateRequest request = request_of(32, 16, 255);
  request.models = {};
  request.workflow_id = "mine";
  WorkflowInfo mine;
  mine.id = "mine";
  mine.components = fake_.components;
  fake_.status_info.workflows = {WorkflowInfo(), mine};
  ASSERT_TRUE(run(request).ok());
  EXPECT_TRUE(row().conditioning.at("positive")[0].extras.contains("concat_latent_image"));
  EXPECT_THAT(fake_.admin_calls, ElementsAre("list_workflows"));
}

TEST_F(InpaintStage, AFailureToEncodeNamesThePicture) {
  fake_.failures = {{"vae_encode", Status(StatusCode::kResourceExhausted, "x")}};
  const auto result = run(request_of(32, 16, 255));
  EXPECT_EQ(result.status().message(), "encoding the starting picture: x");
}

}  // namespace
}  // namespace luna::client
