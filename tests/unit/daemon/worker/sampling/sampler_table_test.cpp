#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "daemon/worker/sampling/sampler.h"

namespace luna::worker {
namespace {

TEST(SamplerTable, HasEverySamplerThatThisVersionPromises) {
  for (const char* name : {"euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_sde",
                           "dpmpp_2m_sde", "lcm", "ddim", "uni_pc"}) {
    EXPECT_TRUE(find_sampler(name).ok()) << name;
  }
}

TEST(SamplerTable, EveryNameIsListedOnceAndFound) {
  const auto names = sampler_names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const std::string& name : names) {
    EXPECT_TRUE(find_sampler(name).ok()) << name;
    EXPECT_TRUE(check_sampler_options(name, {}).ok()) << name;
  }
}

TEST(SamplerTable, AnUnknownNameIsAnsweredWithTheNearest) {
  const auto missing = find_sampler("dpmpp_2n");
  EXPECT_EQ(missing.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(missing.status().message().find("'dpmpp_2m'"), std::string::npos);
  EXPECT_FALSE(check_sampler_options("dpmpp_2n", {}).ok());
}

TEST(SamplerTable, AHugeUnknownNameIsNotEchoedWhole) {
  EXPECT_LT(find_sampler(std::string(1 << 20, 'x')).status().message().size(), 300U);
}

TEST(SamplerTable, OptionsOfAnotherSamplerAreRefusedByName) {
  EXPECT_TRUE(check_sampler_options("euler", {{"s_churn", 3}}).ok());
  const Status refused = check_sampler_options("dpmpp_sde", {{"s_churn", 3}});
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("'s_churn'"), std::string::npos);
  EXPECT_NE(check_sampler_options("dpmpp_2m", {{"eta", 1}}).message().find("takes none"),
            std::string::npos);
}

TEST(SamplerTable, OptionsOutOfRangeAreRefusedWithTheRange) {
  for (const double bad : {-0.1, 1000.0, std::nan("")}) {
    EXPECT_EQ(check_sampler_options("euler_ancestral", {{"eta", bad}}).code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(check_sampler_options("dpmpp_2m_sde", {{"solver_type", 1}}).ok());
  EXPECT_NE(check_sampler_options("dpmpp_2m_sde", {{"solver_type", 0.5}}).message().find("whole"),
            std::string::npos);
}

TEST(SamplerTable, OnlyDdimDrawsItsInpaintNoiseAnew) {
  for (const std::string& name : sampler_names())
    EXPECT_EQ(draws_inpaint_noise_anew(name), name == "ddim");
}

}  // namespace
}  // namespace luna::worker
