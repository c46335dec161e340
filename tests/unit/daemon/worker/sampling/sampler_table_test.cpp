#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "common/types/sampling_names.h"
#include "daemon/worker/sampling/sampler.h"
#include "daemon/worker/sampling/schedule.h"

namespace luna::worker {
namespace {

TEST(SamplerTable, HasEverySamplerOfComfyUiInItsOrder) {
  EXPECT_EQ(sampler_names(), (std::vector<std::string>{"euler",
                                                       "euler_cfg_pp",
                                                       "euler_ancestral",
                                                       "euler_ancestral_cfg_pp",
                                                       "heun",
                                                       "heunpp2",
                                                       "exp_heun_2_x0",
                                                       "exp_heun_2_x0_sde",
                                                       "dpm_2",
                                                       "dpm_2_ancestral",
                                                       "lms",
                                                       "dpm_fast",
                                                       "dpm_adaptive",
                                                       "dpmpp_2s_ancestral",
                                                       "dpmpp_2s_ancestral_cfg_pp",
                                                       "dpmpp_sde",
                                                       "dpmpp_sde_gpu",
                                                       "dpmpp_2m",
                                                       "dpmpp_2m_cfg_pp",
                                                       "dpmpp_2m_sde",
                                                       "dpmpp_2m_sde_gpu",
                                                       "dpmpp_2m_sde_heun",
                                                       "dpmpp_2m_sde_heun_gpu",
                                                       "dpmpp_3m_sde",
                                                       "dpmpp_3m_sde_gpu",
                                                       "ddpm",
                                                       "lcm",
                                                       "ipndm",
                                                       "ipndm_v",
                                                       "deis",
                                                       "res_multistep",
                                                       "res_multistep_cfg_pp",
                                                       "res_multistep_ancestral",
                                                       "res_multistep_ancestral_cfg_pp",
                                                       "gradient_estimation",
                                                       "gradient_estimation_cfg_pp",
                                                       "er_sde",
                                                       "seeds_2",
                                                       "seeds_3",
                                                       "sa_solver",
                                                       "sa_solver_pece",
                                                       "ddim",
                                                       "uni_pc",
                                                       "uni_pc_bh2"}));
}

TEST(SamplerTable, ServesWhatTheStatusTellsClients) {
  EXPECT_EQ(sampler_names(), served_samplers());
  EXPECT_EQ(scheduler_names(), served_schedulers());
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
