#include "daemon/worker/sampling/noise.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/sampling/fixture.h"
#include "tests/unit/daemon/worker/sampling/trajectory_driver.h"

namespace luna::worker {
namespace {

const std::vector<std::int64_t> kChw = {4, 3, 2};
const std::vector<std::uint64_t> kSeeds = {0, 7, (1ULL << 32) + 7, (1ULL << 63) + 12345};

const Fixture& fixture() {
  static const Fixture loaded("sampling_noise");
  return loaded;
}

TEST(InitialNoise, IsComfyUisForEverySeedAndBatchSize) {
  for (const std::uint64_t seed : kSeeds) {
    for (const std::uint32_t size : {1U, 3U}) {
      const auto name = "initial/" + std::to_string(seed) + "/" + std::to_string(size);
      EXPECT_TRUE(at::equal(initial_noise(whole_batch(seed, size), kChw), fixture()[name])) << name;
    }
  }
}

TEST(InitialNoise, IsComfyUisBelowSixteenNumbersToo) {
  EXPECT_TRUE(at::equal(initial_noise(whole_batch(7, 2), {1, 3, 1}), fixture()["initial_tiny/7"]));
}

TEST(InitialNoise, OfARowIsItsSliceOfTheBatchItBelongsTo) {
  const at::Tensor whole = fixture()["initial/7/3"];
  EXPECT_TRUE(at::equal(initial_noise({{7, 3, 2}}, kChw)[0], whole[2]));
  EXPECT_TRUE(
      at::equal(initial_noise({{7, 3, 1}, {7, 3, 0}}, kChw), at::stack({whole[1], whole[0]})));
}

TEST(InitialNoise, OfRowsFromDifferentBatchesIsIndependent) {
  const at::Tensor mixed = initial_noise({{7, 1, 0}, {0, 1, 0}, {7, 3, 1}}, kChw);
  EXPECT_TRUE(at::equal(mixed[0], fixture()["initial/7/1"][0]));
  EXPECT_TRUE(at::equal(mixed[1], fixture()["initial/0/1"][0]));
  EXPECT_TRUE(at::equal(mixed[2], fixture()["initial/7/3"][1]));
}

TEST(InitialNoise, LeavesTheGlobalGeneratorAlone) {
  const at::Tensor before = at::globalContext().defaultGenerator(at::kCPU).get_state();
  initial_noise({{7, 3, 0}}, kChw);
  make_step_noise(whole_batch(7, 1), kChw, at::kCPU, {2, 1, 0})->next();
  EXPECT_TRUE(at::equal(at::globalContext().defaultGenerator(at::kCPU).get_state(), before));
}

TEST(StepNoise, OnCpuIsTheStreamOfSeedPlusOne) {
  const auto noise = make_step_noise(whole_batch(7, 3), kChw, at::kCPU, {2, 1, 0});
  for (std::int64_t call = 0; call < 3; ++call) {
    EXPECT_TRUE(at::equal(noise->next(), fixture()["step/7"][call])) << "call " << call;
  }
}

TEST(StepNoise, OfARowIsItsSliceInEveryCall) {
  const auto noise = make_step_noise({{7, 3, 2}, {9, 1, 0}}, kChw, at::kCPU, {2, 1, 0});
  const auto alone = make_step_noise({{9, 1, 0}}, kChw, at::kCPU, {2, 1, 0});
  for (std::int64_t call = 0; call < 3; ++call) {
    const at::Tensor drawn = noise->next();
    EXPECT_TRUE(at::equal(drawn[0], fixture()["step/7"][call][2]));
    EXPECT_TRUE(at::equal(drawn[1], alone->next()[0]));
  }
}

TEST(StepNoise, ChurnGoesOnBehindTheInitialNoise) {
  const auto noise = make_step_noise(whole_batch(7, 1), {4, 4, 4}, at::kCPU, {2, 1, 0});
  at::Generator stream = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{7});
  at::randn({1, 4, 4, 4}, stream, at::TensorOptions(at::kFloat));
  for (int call = 0; call < 2; ++call) {
    EXPECT_TRUE(
        at::equal(noise->churn(), at::randn({1, 4, 4, 4}, stream, at::TensorOptions(at::kFloat))));
  }
}

TEST(StepNoise, BrownianIncrementsAreTorchsdesValueByValue) {
  for (const std::uint64_t seed : kSeeds) {
    const auto noise =
        make_step_noise(whole_batch(seed, 2), kChw, at::kCPU, fixture().list("brownian/sigmas"));
    const std::string prefix = "brownian/" + std::to_string(seed);
    const auto from = fixture().list(prefix + "/from");
    const auto to = fixture().list(prefix + "/to");
    for (std::size_t i = 0; i < from.size(); ++i) {
      const at::Tensor expected = fixture()[prefix + "/value"][static_cast<std::int64_t>(i)];
      EXPECT_TRUE(at::equal(noise->between(from[i], to[i]), expected))
          << "seed " << seed << " from " << from[i] << " to " << to[i];
    }
  }
}

TEST(StepNoise, BrownianIncrementsOfMixedRowsEqualThoseOfSoloRows) {
  const std::vector<float> sigmas = {10, 3, 1, 0};
  const auto mixed = make_step_noise({{1, 2, 1}, {2, 1, 0}}, kChw, at::kCPU, sigmas);
  const auto first = make_step_noise({{1, 2, 1}}, kChw, at::kCPU, sigmas);
  const auto second = make_step_noise({{2, 1, 0}}, kChw, at::kCPU, sigmas);
  const at::Tensor both = mixed->between(10, 3);
  EXPECT_TRUE(at::equal(both[0], first->between(10, 3)[0]));
  EXPECT_TRUE(at::equal(both[1], second->between(10, 3)[0]));
}

TEST(CheckNoiseRows, NamesTheRowThatIsOutsideOfItsBatch) {
  EXPECT_TRUE(check_noise_rows({{7, 3, 2}, {1, 1, 0}}).ok());
  const Status outside = check_noise_rows({{7, 1, 0}, {7, 3, 3}});
  EXPECT_EQ(outside.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(outside.message().find("row 1"), std::string::npos);
  EXPECT_FALSE(check_noise_rows({{7, 0, 0}}).ok());
  EXPECT_FALSE(check_noise_rows({{7, 5000, 0}}).ok());
}

}  // namespace
}  // namespace luna::worker
