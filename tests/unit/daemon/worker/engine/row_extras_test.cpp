// One evaluation with what its client made itself: "y", "c_concat" and "timestep".
#include <cmath>

#include <gmock/gmock.h>

#include "daemon/worker/engine/concat_conditioning.h"
#include "daemon/worker/engine/vector_conditioning.h"
#include "daemon/worker/sampling/model_sampling.h"
#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/variant_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using testing::HasSubstr;
using testing::Not;

class RowExtras : public VariantTest {
 protected:
  DenoiseRequest evaluation() const {
    DenoiseRow row;
    row.x = made_up("run.latent", {4, kHeight, kWidth}, 3);
    row.sigma = 2;
    row.conditioning = words("positive");
    DenoiseRequest request;
    request.rows.push_back(std::move(row));
    return request;
  }
  std::vector<float> x0(const DenoiseRequest& request) {
    const auto reply = run(request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return {};
    return floats_of(std::get<DenoiseReply>(*reply).denoised.at(0)).value();
  }
  Status refusal(const std::string& name, TensorRef tensor) {
    DenoiseRequest request = evaluation();
    request.rows[0].extras[name] = std::move(tensor);
    return run(request).status();
  }
  static TensorRef ref(const at::Tensor& tensor) {
    return tensor_of(tensor.sizes().vec(),
                     {tensor.const_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
  }
  /// What the engine itself would make of the entry.
  static TensorRef y_of(const ConditioningEntry& entry) {
    DenoiserTraits traits;
    traits.vector = VectorConditioning::kSdxl;
    traits.vector_width = 128 + 6 * kSizeWidth;
    return ref(vector_conditioning(entry, "entry", traits, {kHeight, kWidth}).value());
  }
};

TEST_F(RowExtras, AVectorThatIsGivenCountsInsteadOfThePooledText) {
  use_sdxl("");
  DenoiseRequest request = evaluation();
  const std::vector<float> usual = x0(request);
  request.rows[0].extras["y"] = y_of(request.rows[0].conditioning);
  request.rows[0].conditioning.pooled.reset();
  EXPECT_EQ(x0(request), usual);
  request.rows[0].conditioning.pooled = made_up("pooled.other", {1, 128});
  EXPECT_EQ(x0(request), usual) << "not even looked at";
  request.rows[0].extras["y"] = y_of(request.rows[0].conditioning);
  EXPECT_THAT(x0(request), Not(IsNear(usual, 1e-4)));
}

TEST_F(RowExtras, AMaskedPictureThatIsGivenCountsInsteadOfTheEntrys) {
  use_sd1(true);
  DenoiseRequest request = evaluation();
  const std::vector<float> blank = x0(request);
  auto& entry = request.rows[0].conditioning.extras;
  entry["concat_latent_image"] = made_up("run.masked", {1, 4, kHeight, kWidth}, 3);
  entry["concat_mask"] = mask();
  const std::vector<float> masked = x0(request);
  ASSERT_THAT(masked, Not(IsNear(blank, 1e-3)));

  DenoiserTraits traits;
  traits.latent_scale = 0.18215;
  traits.blank_latent = {0.8223F, -0.6876F, 0.6364F, 0.1380F};
  const at::Tensor made =
      concat_conditioning(request.rows[0].conditioning, "entry", traits, {kHeight, kWidth}).value();
  DenoiseRequest given = evaluation();
  given.rows[0].extras["c_concat"] = ref(made.contiguous());
  EXPECT_EQ(x0(given), masked);
  given.rows[0].conditioning.extras["concat_mask"] = made_up("m", {64});
  EXPECT_EQ(x0(given), masked) << "the entry's is not even looked at";
}

TEST_F(RowExtras, ATimestepFeedsTheNetworkItselfAndGivesItsOwnOutput) {
  use_sd1(false);
  DenoiseRequest usual = evaluation();
  const auto sampling = make_eps_sampling();
  const std::vector<float> state = floats_of(usual.rows[0].x).value();
  const std::vector<float> denoised = x0(usual);

  DenoiseRequest raw = evaluation();
  std::vector<float> input = state;
  for (float& value : input) value /= std::sqrt(5.0F);  // sqrt(sigma^2 + 1)
  raw.rows[0].x = tensor_of({4, kHeight, kWidth}, input);
  raw.rows[0].sigma = 0.1;  // does not count
  const std::vector<float> timestep{static_cast<float>(sampling->timestep(2))};
  raw.rows[0].extras["timestep"] = tensor_of({1}, timestep);
  std::vector<float> expected;
  for (const float noise : x0(raw)) expected.push_back(state[expected.size()] - 2 * noise);
  EXPECT_THAT(expected, IsNear(denoised, 1e-5));
}

TEST_F(RowExtras, ATimestepBetweenTheTablesIsFedAsItIs) {
  use_sd1(false);
  const auto output = [&](float timestep) {
    DenoiseRequest request = evaluation();
    request.rows[0].extras["timestep"] = tensor_of({1}, std::vector<float>{timestep});
    return x0(request);
  };
  EXPECT_THAT(output(0.4F), Not(IsNear(output(0.0F), 1e-6)));
  EXPECT_EQ(output(-1.5F), output(-1.5F));
}

TEST_F(RowExtras, ATimestepThatIsNotOneFiniteNumberIsRefused) {
  use_sd1(false);
  EXPECT_THAT(refusal("timestep", made_up("t", {2})).message(),
              HasSubstr("rows[0].extras.timestep: expected one number, found f32[2]"));
  EXPECT_THAT(refusal("timestep", tensor_of({1}, std::vector<float>{NAN})).message(),
              HasSubstr("rows[0].extras.timestep: expected finite values"));
}

TEST_F(RowExtras, RowsOfOneCallHaveTheirOwnEach) {
  use_sdxl("");
  DenoiseRequest request = evaluation();
  const std::vector<float> usual = x0(request);
  request.rows.push_back(request.rows[0]);
  request.rows[0].extras["y"] = made_up("y", {1, 128 + 6 * kSizeWidth});
  const auto reply = run(request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto& denoised = std::get<DenoiseReply>(*reply).denoised;
  EXPECT_THAT(floats_of(denoised[1]).value(), IsNear(usual, 1e-5));
  EXPECT_THAT(floats_of(denoised[0]).value(), Not(IsNear(usual, 1e-4)));
}

TEST_F(RowExtras, OfAnotherShapeOrWithoutFiniteValuesAreRefusedByName) {
  use_sdxl("", true);
  const int width = 128 + 6 * kSizeWidth;
  EXPECT_THAT(refusal("y", made_up("y", {1, width - 1})).message(),
              HasSubstr("rows[0].extras.y: expected f32[1,1664], found f32[1,1663]"));
  EXPECT_THAT(refusal("y", made_up("y", {2, width})).message(), HasSubstr("rows[0].extras.y"));
  EXPECT_THAT(refusal("c_concat", made_up("c", {1, 4, kHeight, kWidth})).message(),
              HasSubstr("rows[0].extras.c_concat: expected f32[1,5,8,6], found f32[1,4,8,6]"));
  std::vector<float> values(static_cast<std::size_t>(width), NAN);
  EXPECT_THAT(refusal("y", tensor_of({1, width}, values)).message(),
              HasSubstr("rows[0].extras.y: expected finite values"));
}

TEST_F(RowExtras, ThatTheModelDoesNotTakeAreRefused) {
  use_sd1(false);
  EXPECT_THAT(refusal("y", made_up("y", {1, 64})).message(),
              HasSubstr("rows[0].extras.y: this model of family sd1 takes none, found f32[1,64]"));
  EXPECT_THAT(refusal("c_concat", made_up("c", {1, 5, kHeight, kWidth})).message(),
              HasSubstr("takes none"));
  const Status other = refusal("control", made_up("c", {1, 5}));
  EXPECT_EQ(other.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(other.message(), HasSubstr("rows[0].extras.control is not served"));
}

}  // namespace
}  // namespace luna::worker
