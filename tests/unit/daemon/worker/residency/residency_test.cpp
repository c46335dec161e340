#include "daemon/worker/residency/residency.h"

#include <atomic>
#include <future>

#include <gmock/gmock.h>

#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"
#include "tests/unit/daemon/worker/residency/fake_source.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ResidencyTest : public testing::Test {
 protected:
  Residency& open(std::uint64_t budget = 0,
                  std::chrono::milliseconds pin_wait = std::chrono::seconds(10)) {
    Residency::Options options;
    options.budget_bytes = budget;
    options.pin_wait = pin_wait;
    residency_ = std::make_unique<Residency>(options, std::make_unique<FakeSource>(calls_));
    return *residency_;
  }
  std::future<Result<ModelHandle>> ask(const std::string& path,
                                       Precision precision = Precision::kAuto,
                                       Slot slot = Slot::kVae) {
    auto promise = std::make_shared<std::promise<Result<ModelHandle>>>();
    residency_->acquire(slot, {path, precision}, [promise](Result<ModelHandle> handle) {
      promise->set_value(std::move(handle));
    });
    return promise->get_future();
  }
  ModelHandle get(const std::string& path, Precision precision = Precision::kAuto) {
    auto handle = ask(path, precision).get();
    EXPECT_TRUE(handle.ok()) << handle.status().to_string();
    return handle.ok() ? *handle : nullptr;
  }

  support::TempDir dir_;
  std::shared_ptr<FakeSource::Calls> calls_ = std::make_shared<FakeSource::Calls>();
  std::unique_ptr<Residency> residency_;
};

TEST_F(ResidencyTest, ASecondUseReadsNothing) {
  open();
  const std::string path = dir_.write("a", "one");
  const ModelHandle first = get(path);
  const ModelHandle second = get(path);
  EXPECT_EQ(first, second);
  EXPECT_EQ(calls_->inspected[path], 1);
  EXPECT_EQ(calls_->read[path], 1);
  ASSERT_THAT(residency_->loaded(), SizeIs(1));
  EXPECT_EQ(residency_->loaded()[0].uses, 2u);
}

TEST_F(ResidencyTest, FilesOfEqualContentShareOneCopy) {
  open();
  const std::string a = dir_.write("a", "same"), b = dir_.write("b", "same");
  EXPECT_EQ(get(a), get(b));
  EXPECT_EQ(calls_->built, 1);
  ASSERT_THAT(residency_->loaded(), SizeIs(1));
  EXPECT_THAT(residency_->loaded()[0].paths, ElementsAre(a, b));
  EXPECT_EQ(residency_->resident_bytes(), 1000u);
}

TEST_F(ResidencyTest, ContentAndPrecisionTellModelsApart) {
  open();
  const std::string a = dir_.write("a", "one"), b = dir_.write("b", "two");
  EXPECT_NE(get(a), get(b));
  EXPECT_EQ(get(a), get(a, Precision::kF32));  // what kAuto means on a CPU
  EXPECT_NE(get(a), get(a, Precision::kBF16));
  EXPECT_THAT(residency_->loaded(), SizeIs(3));
}

TEST_F(ResidencyTest, AChangedFileIsAnotherModelAndTheOldOneGoes) {
  open();
  const std::string path = dir_.write("a", "before");
  const ModelHandle before = get(path);
  dir_.write("a", "after it changed");
  const ModelHandle after = get(path);
  EXPECT_NE(before, after);
  EXPECT_EQ(after->info.content_hash, "after it changed");
  EXPECT_EQ(before->info.content_hash, "before");  // who holds it keeps it
  EXPECT_THAT(residency_->loaded(), SizeIs(1));
}

TEST_F(ResidencyTest, AFileThatChangesWhileItIsReadIsReadAgain) {
  open();
  const std::string path = dir_.write("a", "before");
  std::atomic<bool> changed = false;
  calls_->while_reading = [&](const std::string&) {
    if (!changed.exchange(true)) dir_.write("a", "the new content");
  };
  EXPECT_EQ(get(path)->info.content_hash, "the new content");
}

TEST_F(ResidencyTest, UnderABudgetTheLeastRecentlyUsedUnpinnedModelGoes) {
  open(2500);
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b"), c = dir_.write("c", "c");
  get(a);
  get(b);
  get(a);
  get(c);
  std::vector<std::string> left;
  for (const LoadedModel& model : residency_->loaded()) left.push_back(model.info.content_hash);
  EXPECT_THAT(left, testing::UnorderedElementsAre("a", "c"));
}

TEST_F(ResidencyTest, ALoadWaitsForPinnedModelsToBeLetGo) {
  open(1500);
  ModelHandle pinned = get(dir_.write("a", "a"));
  auto waiting = ask(dir_.write("b", "b"));
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  pinned.reset();
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(ResidencyTest, WhatDoesNotFitIsRefusedWithTheNumbers) {
  open(900);
  const auto refused = ask(dir_.write("a", "a")).get();
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  open(1500, std::chrono::milliseconds(1));
  const ModelHandle pinned = get(dir_.write("a", "a"));
  const auto full = ask(dir_.write("b", "b")).get();
  EXPECT_EQ(full.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.status().message(), HasSubstr("held by running jobs"));
}

TEST_F(ResidencyTest, UnloadFreesWhatNoJobHolds) {
  open();
  const std::string path = dir_.write("a", "a");
  ModelHandle handle = get(path);
  EXPECT_EQ(residency_->unload(path), 0u);
  handle.reset();
  EXPECT_EQ(residency_->unload(path), 1000u);
  EXPECT_THAT(residency_->loaded(), IsEmpty());
}

TEST_F(ResidencyTest, AbsentFilesAndSlotsAreNamed) {
  open();
  EXPECT_EQ(ask(dir_.file("absent")).get().status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ask(dir_.path()).get().status().code(), StatusCode::kInvalidArgument);
  const auto wrong = ask(dir_.write("a", "a"), Precision::kAuto, Slot::kUNet).get();
  EXPECT_EQ(wrong.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(wrong.status().message(),
              AllOf(HasSubstr("expected a unet"), HasSubstr("found vae")));
}

TEST_F(ResidencyTest, InspectionKnowsTheHashOnceTheComponentWasLoaded) {
  open();
  const std::string path = dir_.write("a", "content");
  const auto inspect = [&] {
    std::promise<Result<std::vector<ComponentInfo>>> promise;
    residency_->inspect(path, [&](auto found) { promise.set_value(std::move(found)); });
    return promise.get_future().get();
  };
  EXPECT_EQ(inspect()->at(0).content_hash, "");
  get(path);
  EXPECT_EQ(inspect()->at(0).content_hash, "content");
  EXPECT_EQ(calls_->inspected[path], 1);
}

TEST_F(ResidencyTest, HandlesOutliveTheResidency) {
  open();
  const ModelHandle handle = get(dir_.write("a", "a"));
  residency_.reset();
  EXPECT_EQ(handle->info.content_hash, "a");
}

}  // namespace
}  // namespace luna::worker
