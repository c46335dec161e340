// Lists of conditioning entries, areas, masks, ranges, defaults and guidance, against ComfyUI.
#include <gmock/gmock.h>

#include "daemon/worker/sampling/model_sampling.h"

#include "tests/support/tensor_error.h"
#include "tests/unit/daemon/worker/engine/conditioning_fixture.h"

namespace luna::worker {
namespace {

using support::IsNear;
using testing::HasSubstr;

constexpr double kParity = 1e-4;

class RecordedConditioning : public ConditioningTest,
                             public testing::WithParamInterface<std::string> {};

TEST_P(RecordedConditioning, EndsWhereComfyUiDoes) {
  const auto& described = conditioning_cases()[GetParam()];
  use_model_of(described);
  const auto reply = run(request_of(described));
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto& latents = std::get<SampleReply>(*reply).latents;
  const auto expected = recorded_conditioning(GetParam());
  ASSERT_EQ(latents.size(), expected.size());
  for (std::size_t row = 0; row < expected.size(); ++row)
    EXPECT_THAT(floats_of(latents[row]).value(), IsNear(expected[row], kParity)) << "row " << row;
}

INSTANTIATE_TEST_SUITE_P(All, RecordedConditioning, testing::ValuesIn(conditioning_case_names()),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& letter : name)
                             if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
                           return name;
                         });

class Conditioning : public ConditioningTest {
 protected:
  void SetUp() override {
    ConditioningTest::SetUp();
    use_sd1(false);
  }
  static SampleRequest like(const std::string& name) {
    return request_of(conditioning_cases()[name]);
  }
  std::string refusal(const SampleRequest& request) {
    const auto reply = run(request);
    EXPECT_EQ(reply.status().code(), StatusCode::kInvalidArgument);
    return reply.status().message();
  }
};

TEST_F(Conditioning, RowsOfOneCallSeeOnlyTheirOwnEntries) {
  const std::vector<std::string> names = {"area",         "mask",
                                          "two entries",  "default beside a mask",
                                          "rescaled cfg", "contexts of 77 and 154"};
  SampleRequest together = like(names.front());
  together.rows.clear();
  for (const std::string& name : names) together.rows.push_back(like(name).rows[0]);
  const auto reply = run(together);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_THAT(floats_of(std::get<SampleReply>(*reply).latents[i]).value(),
                IsNear(recorded_conditioning(names[i]).front(), kParity))
        << names[i];
  }
}

TEST_F(Conditioning, RowsWithDifferentEntriesShareForwardsWhereTheirShapesAllow) {
  SampleRequest together = like("area");
  together.rows.push_back(like("two entries").rows[0]);
  together.rows.push_back(like("area").rows[0]);
  ASSERT_TRUE(run(together).ok());
  // A forward of everything over the whole latent, and one of both rows' areas and their opposites.
  EXPECT_EQ(unet_forwards(), 2U * 3U);
}

TEST_F(Conditioning, GuidanceOutsideOfItsIntervalEvaluatesNoNegative) {
  SampleRequest request = like("guidance in an interval");
  const auto reply = run(request);
  ASSERT_TRUE(reply.ok()) << reply.status().to_string();
  const auto& sampled = std::get<SampleReply>(*reply);
  std::uint64_t expected = 0;
  const auto model = make_eps_sampling();
  for (std::size_t i = 0; i + 1 < sampled.sigmas.size(); ++i) {
    const bool guided = sampled.sigmas[i] <= model->percent_to_sigma(0.2) &&
                        sampled.sigmas[i] >= model->percent_to_sigma(0.7);
    expected += guided ? 2 : 1;
  }
  EXPECT_EQ(sampled.evaluations, expected);
  EXPECT_GT(expected, 5U);
  EXPECT_LT(expected, 10U);
}

TEST_F(Conditioning, RefusalsNameTheEntryAndWhatWasFound) {
  SampleRequest request = like("area");
  auto& entry = request.rows[0].conditioning["positive"][1];
  entry.area = ConditioningArea{false, 4, 4, 12, 0};
  EXPECT_THAT(refusal(request), HasSubstr("rows[0].conditioning.positive[1].area"));
  entry.area = ConditioningArea{false, 4.5, 4, 0, 0};
  EXPECT_THAT(refusal(request), HasSubstr("whole cells"));
  entry.area = ConditioningArea{false, 0, 4, 0, 0};
  EXPECT_THAT(refusal(request), HasSubstr("1 or more"));
  entry.area = ConditioningArea{true, 1.5, 1, 0, 0};
  EXPECT_THAT(refusal(request), HasSubstr("fractions in 0..1"));
  entry.area = ConditioningArea{false, 4, 4, 0, 0};
  entry.is_default = true;
  EXPECT_THAT(refusal(request), HasSubstr("takes no area"));
  entry.is_default = false;
  entry.area.reset();
  entry.mask = tensor_of({4}, std::vector<float>(4, 1));
  EXPECT_THAT(refusal(request), HasSubstr("positive[1].mask"));
}

TEST_F(Conditioning, GuidanceOptionsAreRefusedByNameAndRange) {
  SampleRequest request = like("rescaled cfg");
  request.rows[0].guidance.options = {{"rescal", 0.7}};
  EXPECT_THAT(refusal(request), HasSubstr("'rescal'"));
  request.rows[0].guidance.options = {{"rescale", 1.7}};
  EXPECT_THAT(refusal(request), HasSubstr("0 to 1"));
  request.rows[0].guidance.options = {{"curve", 0.5}};
  EXPECT_THAT(refusal(request), HasSubstr("whole"));
  request.rows[0].guidance.options = {};
  request.rows[0].guidance.cfg = std::nan("");
  EXPECT_THAT(refusal(request), HasSubstr("guidance.cfg"));
}

TEST_F(Conditioning, OneEvaluationTakesNoAreaOrMask) {
  DenoiseRequest request;
  DenoiseRow row;
  row.x = made_up("x", {4, 12, 10});
  row.sigma = 1;
  row.conditioning = like("area").rows[0].conditioning["positive"][1];
  request.rows.push_back(row);
  const auto reply = run(request);
  EXPECT_EQ(reply.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(reply.status().message(), HasSubstr("expected no area, mask or is_default"));
}

}  // namespace
}  // namespace luna::worker
