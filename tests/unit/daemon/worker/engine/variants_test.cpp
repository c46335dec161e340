// Whole runs of SDXL's variants against ComfyUI.
#include <gmock/gmock.h>

#include "daemon/worker/engine/sample_plan.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/variant_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using testing::Not;

constexpr double kParity = 1e-4;

class Variants : public VariantTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    VariantTest::SetUp();
    use_sdxl(GetParam());
  }
  static std::vector<float> recorded(const std::string& run = "") {
    return recorded_variant("trajectory/sdxl/" + GetParam() + run);
  }
};

TEST_P(Variants, ARunFromNoiseEndsWhereComfyUisDoes) {
  EXPECT_THAT(latent(words_alone()), IsNear(recorded(), kParity));
  SampleRequest other = words_alone();
  other.run.scheduler = "sgm_uniform";
  EXPECT_THAT(latent(other), IsNear(recorded("/sgm_uniform"), kParity));
  EXPECT_THAT(recorded("/sgm_uniform"), Not(IsNear(recorded(), 10 * kParity)));
}

TEST_P(Variants, ARunFromAPictureUnderAMaskEndsWhereComfyUisDoes) {
  EXPECT_THAT(latent(with_picture(0.6, true)), IsNear(recorded("/picture"), kParity));
}

TEST_P(Variants, RowsAreIndependentOfEachOther) {
  SampleRequest both = words_alone();
  both.rows.push_back(both.rows[0]);
  both.rows[1].noise.seed = 99;
  EXPECT_THAT(latent(both, 0), IsNear(recorded(), kParity));
}

TEST_P(Variants, OneEvaluationIsTheX0OfThatPrediction) {
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
  const std::vector<float> own = x0();
  use_sdxl("");
  EXPECT_THAT(own, Not(IsNear(x0(), 0.1)));
}

INSTANTIATE_TEST_SUITE_P(All, Variants, testing::Values("v", "v-zsnr", "edm", "edm-v"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(LatentScale, ByChannelIsComfyUisAndTheWayBack) {
  DenoiserTraits traits;
  traits.latent_scale = 0.5;
  traits.latent_mean = {-1.6574F, 1.886F, -1.383F, 2.5155F};
  traits.latent_std = {8.4927F, 5.9022F, 6.5498F, 5.2299F};
  const at::Tensor latent = at::tensor(support::uniform_values("latent", 48, 5.0F));
  const auto flat = [](const at::Tensor& tensor) {
    const at::Tensor values = tensor.flatten().contiguous();
    return std::vector<float>(values.const_data_ptr<float>(),
                              values.const_data_ptr<float>() + values.numel());
  };
  const at::Tensor rows = latent.reshape({2, 4, 3, 2});
  EXPECT_THAT(flat(latent_to_model(rows, traits)), IsNear(recorded_variant("latent/edm/in"), 1e-7));
  EXPECT_THAT(flat(latent_from_model(rows, traits)),
              IsNear(recorded_variant("latent/edm/out"), 1e-7));
  EXPECT_THAT(flat(latent_from_model(latent_to_model(rows, traits), traits)),
              IsNear(flat(latent), 1e-6));
  EXPECT_THAT(flat(latent_to_model(rows[1], traits)),
              IsNear(flat(latent_to_model(rows, traits)[1]), 0.0));
  EXPECT_EQ(latent_to_model(at::zeros({4, 3, 2}), traits).abs().max().item<float>(), 0)
      << "an empty latent stays empty";
}

}  // namespace
}  // namespace luna::worker
