#include "daemon/front/dispatch/request_fingerprint.h"

#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace luna::front {
namespace {

/// A sample job over files that exist, with tensors of every size class of the encoding.
class Fingerprints : public testing::Test {
 protected:
  Fingerprints() {
    job_.id = JobId{1};
    job_.workflow = "w";
    job_.models.slots[Slot::kUNet] = {folder_.write("unet", "unet"), Precision::kAuto};
    SampleRow row;
    row.latent = tensor_of({4}, std::vector<float>{1, 2, 3, 4});
    row.noise.seed = 7;
    ConditioningEntry entry;
    entry.cross_attn = tensor_of({40000}, std::vector<float>(40000, 0.5f));
    row.conditioning["positive"] = {entry};
    row.loras = {{folder_.write("lora", "lora"), 1.0, 1.0}};
    SampleRequest request;
    request.rows = {row, row};
    job_.request = request;
  }

  SampleRequest& sample(Job& job) { return std::get<SampleRequest>(job.request); }
  std::string of(const std::function<void(Job&)>& change = [](Job&) {}) {
    Job job = job_;
    change(job);
    return request_fingerprint(job);
  }

  support::TempDir folder_;
  Job job_;
};

TEST_F(Fingerprints, AreStableAndKnowNothingOfWhoAsksAndWhen) {
  const std::string one = of();
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(of(), one);
  EXPECT_EQ(of([](Job& job) { job.id = JobId{99}; }), one);
  EXPECT_EQ(of([](Job& job) { job.workflow = "other"; }), one);
  EXPECT_EQ(of([](Job& job) { job.priority = Priority::kBulk; }), one);
  EXPECT_EQ(of([](Job& job) { job.deadline = Deadline::after(std::chrono::hours(1)); }), one);
  EXPECT_EQ(of([&](Job& job) { sample(job).keep = true; }), one);
}

TEST_F(Fingerprints, DifferInEverythingThatDecidesTheComputation) {
  const std::string other_file = folder_.write("other", "unet");
  const std::vector<std::function<void(Job&)>> changes = {
      [](Job&) {},
      [&](Job& job) { job.models.slots[Slot::kUNet].path = other_file; },
      [](Job& job) { job.models.slots[Slot::kUNet].precision = Precision::kBF16; },
      [&](Job& job) { sample(job).run.steps = 21; },
      [&](Job& job) { sample(job).run.sampler = "heun"; },
      [&](Job& job) { sample(job).rows[0].noise.seed = 8; },
      [&](Job& job) { sample(job).rows[0].guidance.cfg = 3; },
      [&](Job& job) { sample(job).rows[0].loras[0].model_strength = 0.5; },
      [&](Job& job) { sample(job).rows.pop_back(); },
      [&](Job& job) { sample(job).previews.every_steps = 1; },
      [&](Job& job) {
        sample(job).rows[0].latent = tensor_of({4}, std::vector<float>{1, 2, 3, 5});
      },
      [&](Job& job) {
        std::vector<float> values(40000, 0.5f);
        values.back() = 0.25f;
        sample(job).rows[1].conditioning["positive"][0].cross_attn = tensor_of({40000}, values);
      },
      [&](Job& job) { sample(job).rows[0].latent.place = {}; },
      [](Job& job) { job.request = InspectModelRequest{"a"}; },
      [](Job& job) { job.request = InspectModelRequest{"b"}; },
      [](Job& job) { job.request = TokenizeRequest{"a"}; },
  };
  std::set<std::string> distinct;
  for (const auto& change : changes) distinct.insert(of(change));
  EXPECT_EQ(distinct.size(), changes.size());
}

TEST_F(Fingerprints, TensorsCountByContentWhereverTheirBytesLie) {
  EXPECT_EQ(of([&](Job& job) {
              for (SampleRow& row : sample(job).rows) {
                row.latent = tensor_of({4}, std::vector<float>{1, 2, 3, 4});
              }
            }),
            of());
}

TEST_F(Fingerprints, AFileThatIsReplacedMakesItAnotherRequest) {
  const std::string before = of();
  folder_.write("unet.new", "a repaired unet");
  std::filesystem::rename(folder_.file("unet.new"), folder_.file("unet"));
  const std::string with_new_model = of();
  EXPECT_NE(with_new_model, before);
  std::filesystem::remove(folder_.file("lora"));
  EXPECT_NE(of(), with_new_model);
}

}  // namespace
}  // namespace luna::front
