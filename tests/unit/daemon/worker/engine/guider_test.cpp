#include "daemon/worker/engine/guider.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

class GuiderTest : public testing::Test {
 protected:
  Guider guider(double cfg, std::map<std::string, double> options = {}) {
    Guidance guidance;
    guidance.cfg = cfg;
    guidance.options = std::move(options);
    return Guider::make(guidance, "rows[0]", *model_).value();
  }
  const std::unique_ptr<ModelSampling> model_ = make_eps_sampling();
  const at::Tensor positive_ = at::randn({1, 4, 8, 8});
  const at::Tensor negative_ = at::randn({1, 4, 8, 8});
  const at::Tensor x_ = at::randn({1, 4, 8, 8}) * 3;
};

TEST_F(GuiderTest, WithoutOptionsIsPlainGuidanceAtEverySigma) {
  for (const double sigma : {14.7, 3.0, 0.03, 0.0}) EXPECT_EQ(guider(7).cfg(sigma), 7);
  EXPECT_TRUE(at::equal(guider(7).combine(positive_, negative_, x_, 3),
                        negative_ + (positive_ - negative_) * 7.0));
}

TEST_F(GuiderTest, AtOneNeedsNoNegative) {
  EXPECT_TRUE(guider(1).ignores_negative(3));
  EXPECT_TRUE(guider(1).never_needs_negative());
  EXPECT_TRUE(at::equal(guider(1).combine(positive_, {}, x_, 3), positive_));
  EXPECT_FALSE(guider(1, {{"end_percent", 0.5}, {"outside_cfg", 4}}).never_needs_negative());
  EXPECT_FALSE(guider(1, {{"curve", 1}, {"curve_low", 3}}).never_needs_negative());
}

TEST_F(GuiderTest, AnIntervalLeavesItsOutsideUnguided) {
  const Guider within = guider(7, {{"start_percent", 0.2}, {"end_percent", 0.7}});
  EXPECT_TRUE(within.ignores_negative(model_->percent_to_sigma(0.1)));
  EXPECT_EQ(within.cfg(model_->percent_to_sigma(0.2)), 7);
  EXPECT_EQ(within.cfg(model_->percent_to_sigma(0.7)), 7);
  EXPECT_TRUE(within.ignores_negative(model_->percent_to_sigma(0.71)));
  EXPECT_FALSE(within.never_needs_negative());
}

TEST_F(GuiderTest, CurvesRiseFromTheEndsToTheMiddleOfTime) {
  const double middle = model_->sigma(499.5);
  for (const double curve : {1.0, 2.0}) {
    const Guider curved = guider(9, {{"curve", curve}, {"curve_low", 2}});
    EXPECT_NEAR(curved.cfg(model_->sigma_max()), 2, 1e-9);
    EXPECT_NEAR(curved.cfg(model_->sigma_min()), 2, 1e-9);
    EXPECT_NEAR(curved.cfg(middle), 9, 0.02);
    EXPECT_LT(curved.cfg(model_->sigma(900)), curved.cfg(model_->sigma(700)));
    EXPECT_LT(curved.cfg(model_->sigma(100)), curved.cfg(model_->sigma(300)));
  }
  EXPECT_NEAR(guider(9, {{"curve", 1}}).cfg(model_->sigma(249.75)), 1 + 8 * 0.5, 0.02);
  EXPECT_NEAR(guider(9, {{"curve", 2}}).cfg(model_->sigma(333)), 1 + 8 * 0.75, 0.02);
}

TEST_F(GuiderTest, RescalingByOneGivesTheVelocityThePositivesSpread) {
  const double sigma = 2;
  const at::Tensor guided = guider(9, {{"rescale", 1}}).combine(positive_, negative_, x_, sigma);
  const at::Tensor kept = x_ / (sigma * sigma + 1);
  EXPECT_NEAR((kept - guided).std().item<double>(), (kept - positive_).std().item<double>(), 1e-4);
  EXPECT_TRUE(at::allclose(guider(9, {{"rescale", 0}}).combine(positive_, negative_, x_, sigma),
                           negative_ + (positive_ - negative_) * 9.0));
}

TEST_F(GuiderTest, AThresholdClampsTheRowsLargestMagnitudes) {
  const at::Tensor values = at::arange(1, 257, at::kFloat).reshape({1, 4, 8, 8}) *
                            at::where(at::arange(256).remainder(2) == 0, 1, -1).view({1, 4, 8, 8});
  const at::Tensor clamped = guider(1, {{"threshold_percentile", 99.5}}).combine(values, {}, x_, 3);
  const double limit = 1 + 255 * 0.995;
  EXPECT_NEAR(clamped.abs().max().item<double>(), limit, 1e-3);
  EXPECT_EQ((clamped != values).sum().item<std::int64_t>(), 2);
  EXPECT_TRUE(at::equal(guider(1).combine(values, {}, x_, 3), values));
}

TEST_F(GuiderTest, RefusesUnknownOptionsAndValuesOutOfRange) {
  for (const auto& [name, value] : std::map<std::string, double>{{"cfg", 1},
                                                                 {"rescale", -0.1},
                                                                 {"curve", 3},
                                                                 {"threshold_percentile", 0},
                                                                 {"start_percent", std::nan("")}}) {
    Guidance guidance;
    guidance.options = {{name, value}};
    const auto refused = Guider::make(guidance, "rows[3]", *model_);
    EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument) << name;
    EXPECT_NE(refused.status().message().find("rows[3].guidance.options"), std::string::npos);
    EXPECT_NE(refused.status().message().find(name), std::string::npos);
  }
}

}  // namespace
}  // namespace luna::worker
