// Inpainting models: what joins the latent, and whole runs, against ComfyUI.
#include <gmock/gmock.h>

#include "daemon/worker/engine/concat_conditioning.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/variant_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using testing::HasSubstr;
using testing::Not;

constexpr double kParity = 1e-4;

class ConcatConditioning : public testing::TestWithParam<std::string> {
 protected:
  ConcatConditioning() {
    traits_.family = GetParam() == "sd1-eps" ? "sd1" : "sdxl";
    traits_.blank_latent = {0.8223F, -0.6876F, 0.6364F, 0.1380F};
    traits_.latent_scale = 0.18215;
    if (GetParam() == "sdxl-edm") {
      traits_.latent_scale = 0.5;
      traits_.latent_mean = {-1.6574F, 1.886F, -1.383F, 2.5155F};
      traits_.latent_std = {8.4927F, 5.9022F, 6.5498F, 5.2299F};
    }
    const at::Tensor mask = share("concat.noise_mask", {1, 1, 8, 6});
    place_ = {8, 6, false, made_up("concat.latent", {1, 4, 8, 6}), {}};
    noise_mask_ = mask.expand({1, 4, 8, 6});
    image_ = ref(made_up("concat.image", {1, 4, 8, 6}));
    mask_ = ref(share("concat.mask", {1, 1, 64, 48}));
  }
  static at::Tensor made_up(const std::string& name, std::vector<std::int64_t> shape) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
    return at::tensor(support::uniform_values(name, count)).reshape(shape);
  }
  static at::Tensor share(const std::string& name, std::vector<std::int64_t> shape) {
    return (made_up(name, std::move(shape)) + 1) / 2;
  }
  static TensorRef ref(const at::Tensor& tensor) {
    return tensor_of(tensor.sizes().vec(),
                     {tensor.const_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
  }
  std::vector<float> concat(std::map<std::string, TensorRef> extras) const {
    ConditioningEntry entry;
    entry.extras = std::move(extras);
    const auto made = concat_conditioning(entry, "entry", traits_, place_);
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    if (!made.ok()) return {};
    EXPECT_THAT(made->sizes().vec(), testing::ElementsAre(1, 5, 8, 6));
    const at::Tensor flat = made->flatten().contiguous();
    return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
  }
  static testing::Matcher<std::vector<float>> as_recorded(const std::string& name) {
    return IsNear(recorded_variant("concat/" + GetParam() + "/" + name), 1e-6);
  }

  DenoiserTraits traits_;
  EntryPlace place_;
  at::Tensor noise_mask_;
  TensorRef image_, mask_;
};

TEST_P(ConcatConditioning, OfTheEntryItselfIsScaledAndItsMaskRounded) {
  EXPECT_THAT(concat({{"concat_latent_image", image_}, {"concat_mask", mask_}}),
              as_recorded("own"));
}

TEST_P(ConcatConditioning, OfTheEntryComesBeforeTheRowsMask) {
  place_.noise_mask = noise_mask_;
  EXPECT_THAT(concat({{"concat_latent_image", image_}, {"concat_mask", mask_}}),
              as_recorded("own_before_the_rows"));
}

TEST_P(ConcatConditioning, OfOtherSizesIsCutToTheProportionsAndResized) {
  EXPECT_THAT(concat({{"concat_latent_image", ref(made_up("concat.wide", {1, 4, 9, 13}))},
                      {"concat_mask", ref(share("concat.tall", {1, 1, 70, 31}))}}),
              as_recorded("other_sizes"));
}

TEST_P(ConcatConditioning, FillsWhatIsMissingFromTheRow) {
  EXPECT_THAT(concat({{"concat_mask", mask_}}), as_recorded("mask_alone"));
  place_.noise_mask = noise_mask_;
  EXPECT_THAT(concat({}), as_recorded("noise_mask_alone"));
  EXPECT_THAT(concat({{"concat_latent_image", image_}}), as_recorded("image_and_noise_mask"));
}

TEST_P(ConcatConditioning, WithoutAnyMaskRepaintsAllOfABlankPicture) {
  EXPECT_THAT(concat({}), as_recorded("nothing"));
  EXPECT_THAT(concat({{"concat_latent_image", image_}}), as_recorded("image_alone"));
}

TEST_P(ConcatConditioning, TakesShapesWithoutTheLeadingOnes) {
  TensorRef image = image_, mask = mask_;
  image.spec.shape = {4, 8, 6};
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{64, 48}, {1, 64, 48}}) {
    mask.spec.shape = shape;
    EXPECT_THAT(concat({{"concat_latent_image", image}, {"concat_mask", mask}}),
                as_recorded("own"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ConcatConditioning, testing::Values("sd1-eps", "sdxl-edm"),
                         [](const auto& info) {
                           return info.param.substr(0, info.param.find('-'));
                         });

struct InpaintCase {
  std::string name, variant;  ///< of the recorded run, and of SDXL; "sd1" for the SD1.5
};

class Inpaint : public VariantTest, public testing::WithParamInterface<InpaintCase> {
 protected:
  void SetUp() override {
    VariantTest::SetUp();
    GetParam().variant == "sd1" ? use_sd1(true) : use_sdxl(GetParam().variant, true);
  }
  static testing::Matcher<std::vector<float>> as_recorded(const std::string& run) {
    return IsNear(recorded_variant("trajectory/inpaint-" + GetParam().name + "/" + run), kParity);
  }
  SampleRequest own(bool noise_mask) const {
    SampleRequest request = with_picture(1, noise_mask);
    add_masked_picture(request.rows[0]);
    return request;
  }
};

TEST_P(Inpaint, ARunWithTheMaskedPictureEndsWhereComfyUisDoes) {
  EXPECT_THAT(latent(own(true)), as_recorded("own"));
  EXPECT_THAT(latent(own(false)), as_recorded("own_without_noise_mask"));
}

TEST_P(Inpaint, ARunWithoutItEndsWhereComfyUisDoes) {
  EXPECT_THAT(latent(words_alone()), as_recorded("words"));
  EXPECT_THAT(latent(with_picture(0.6, false)), as_recorded("picture"));
  EXPECT_THAT(latent(with_picture(0.8, true)), as_recorded("noise_mask_alone"));
}

TEST_P(Inpaint, RowsOfOneCallHaveTheirOwnMaskedPictureEach) {
  SampleRequest rows = own(true);
  rows.rows.push_back(with_picture(1, false).rows[0]);
  rows.rows.push_back(own(false).rows[0]);
  const auto reply = run(rows);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto& latents = std::get<SampleReply>(*reply).latents;
  EXPECT_THAT(floats_of(latents[0]).value(), as_recorded("own"));
  EXPECT_THAT(floats_of(latents[2]).value(), as_recorded("own_without_noise_mask"));
  EXPECT_THAT(floats_of(latents[1]).value(), IsNear(latent(with_picture(1, false)), 1e-5));
}

INSTANTIATE_TEST_SUITE_P(All, Inpaint,
                         testing::Values(InpaintCase{"sd1-eps", "sd1"}, InpaintCase{"sdxl-eps", ""},
                                         InpaintCase{"sdxl-edm", "edm"}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

class InpaintRequests : public VariantTest {
 protected:
  std::string refusal(const std::string& extra, TensorRef tensor) {
    SampleRequest request = with_picture(1, true);
    request.rows[0].conditioning["negative"][0].extras[extra] = std::move(tensor);
    const auto reply = run(request);
    EXPECT_FALSE(reply.ok());
    return std::string(reply.status().message());
  }
};

TEST_F(InpaintRequests, ExtrasOfOtherShapesAreRefusedByName) {
  use_sd1(true);
  const std::string where = "rows[0].conditioning.negative[0].extras.";
  EXPECT_THAT(refusal("concat_mask", made_up("m", {2, 64, 48})),
              HasSubstr(where + "concat_mask: expected a mask [H, W], [1, H, W] or [1, 1, H, W]"));
  EXPECT_THAT(refusal("concat_mask", made_up("m", {64})), HasSubstr("found f32[64]"));
  EXPECT_THAT(
      refusal("concat_latent_image", made_up("i", {3, 8, 6})),
      HasSubstr(where + "concat_latent_image: expected a latent [4, h, w] or [1, 4, h, w]"));
  EXPECT_THAT(refusal("concat_latent_image", made_up("i", {2, 4, 8, 6})),
              HasSubstr("concat_latent_image"));
  TensorRef nan = tensor_of({1, 1}, std::vector<float>{NAN});
  EXPECT_THAT(refusal("concat_mask", nan), HasSubstr("concat_mask: expected finite values"));
  EXPECT_THAT(refusal("reference_latents", made_up("r", {4, 8, 6})),
              HasSubstr("extras.reference_latents is not served"));
}

TEST_F(InpaintRequests, APlainModelPassesTheMaskedPictureOver) {
  use_sd1(false);
  const std::vector<float> plain = latent(with_picture(1, true));
  SampleRequest given = with_picture(1, true);
  add_masked_picture(given.rows[0]);
  EXPECT_EQ(latent(given), plain);
  given.rows[0].conditioning["positive"][0].extras["concat_mask"] = made_up("m", {64});
  EXPECT_EQ(latent(given), plain) << "not even looked at, as in ComfyUI";
}

TEST_F(InpaintRequests, OneEvaluationTakesTheMaskedPictureFromItsEntryAlone) {
  use_sd1(true);
  DenoiseRequest request;
  DenoiseRow row;
  row.x = made_up("run.latent", {4, kHeight, kWidth}, 3);
  row.sigma = 2;
  row.conditioning = words("positive");
  request.rows.push_back(row);
  const auto x0 = [&] {
    const auto reply = run(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    return floats_of(std::get<DenoiseReply>(*reply).denoised.at(0)).value();
  };
  const std::vector<float> blank = x0();
  auto& extras = request.rows[0].conditioning.extras;
  extras["concat_mask"] = mask();
  EXPECT_THAT(run(request).status().message(),
              HasSubstr("one evaluation with concat_mask needs concat_latent_image too"));
  extras["concat_latent_image"] = made_up("run.masked", {4, kHeight, kWidth}, 3);
  EXPECT_THAT(x0(), Not(IsNear(blank, 1e-3)));
}

}  // namespace
}  // namespace luna::worker
