#include "daemon/worker/residency/residency.h"

#include <atomic>
#include <filesystem>
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
                  std::chrono::milliseconds hold_wait = std::chrono::seconds(10)) {
    Residency::Options options;
    options.budget_bytes = budget;
    options.hold_wait = hold_wait;
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

  UnloadModelReply unload(const std::string& path, bool restorable = false,
                          std::optional<Slot> slot = std::nullopt) {
    UnloadModelRequest request;
    request.path = path;
    request.slot = slot;
    request.restorable = restorable;
    std::promise<UnloadModelReply> promise;
    residency_->unload(request, [&](UnloadModelReply reply) { promise.set_value(reply); });
    return promise.get_future().get();
  }
  Result<RestoreModelReply> restore(const std::string& path) {
    std::promise<Result<RestoreModelReply>> promise;
    residency_->restore({path}, [&](Result<RestoreModelReply> reply) { promise.set_value(reply); });
    return promise.get_future().get();
  }
  Result<InspectModelReply> inspect(const InspectModelRequest& request) {
    std::promise<Result<InspectModelReply>> promise;
    residency_->inspect(request, [&](auto found) { promise.set_value(std::move(found)); });
    return promise.get_future().get();
  }
  std::vector<std::string> contents() {
    std::vector<std::string> contents;
    for (const LoadedModel& model : residency_->loaded()) {
      contents.push_back(model.info.content_hash);
    }
    return contents;
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

TEST_F(ResidencyTest, AModelOfShardsIsLookedAtAgainWhenOneOfThemChanges) {
  open();
  dir_.write("x-1.safetensors", "one");
  const std::string index =
      dir_.write("x.safetensors.index.json", R"({"weight_map": {"a": "x-1.safetensors"}})");
  const ModelHandle before = get(index);
  EXPECT_EQ(get(index), before);
  EXPECT_EQ(calls_->inspected[index], 1);
  dir_.write("x-1.safetensors", "longer than one");
  get(index);
  EXPECT_EQ(calls_->inspected[index], 2);
  EXPECT_EQ(calls_->read[index], 2);
  std::filesystem::remove(dir_.file("x-1.safetensors"));
  EXPECT_THAT(ask(index).get().status().message(), HasSubstr("its shard 'x-1.safetensors'"));
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
  EXPECT_THAT(contents(), testing::UnorderedElementsAre("a", "c"));
}

TEST_F(ResidencyTest, ALoadWaitsForPinnedModelsToBeLetGo) {
  open(1500);
  ModelHandle pinned = get(dir_.write("a", "a"));
  auto waiting = ask(dir_.write("b", "b"));
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  pinned.reset();
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(ResidencyTest, ALoadThatWaitsForRoomLetsThoseThatFitPass) {
  open(1500);
  ModelHandle held = get(dir_.write("a", "a"));
  auto waiting = ask(dir_.write("b", "b"));
  EXPECT_TRUE(ask(dir_.write("c", "c"), Precision::kBF16).get().ok()) << "half the size";
  EXPECT_EQ(waiting.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  held.reset();
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(ResidencyTest, WhatDoesNotFitIsRefusedWithTheNumbers) {
  open(900);
  const auto refused = ask(dir_.write("a", "a")).get();
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  open(1500, std::chrono::milliseconds(1));
  const ModelHandle held = get(dir_.write("a", "a"));
  const auto full = ask(dir_.write("b", "b")).get();
  EXPECT_EQ(full.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.status().message(),
              HasSubstr("in the way are: vae of a (0 MiB, 1 running job)"));
}

TEST_F(ResidencyTest, UnloadFreesWhatNoJobHolds) {
  open();
  const std::string path = dir_.write("a", "a");
  ModelHandle handle = get(path), second = get(path);
  const UnloadModelReply held = unload(path);
  EXPECT_EQ(held.freed_bytes, 0u);
  ASSERT_THAT(held.held, SizeIs(1));
  EXPECT_EQ(held.held[0].jobs, 2u);
  handle.reset();
  second.reset();
  const UnloadModelReply freed = unload(path);
  EXPECT_EQ(freed.freed_bytes, 1000u);
  EXPECT_THAT(freed.unloaded, SizeIs(1));
  EXPECT_THAT(freed.held, IsEmpty());
  EXPECT_THAT(residency_->loaded(), IsEmpty());
}

TEST_F(ResidencyTest, UnloadOfOneComponentLeavesTheOthers) {
  open();
  const std::string path = dir_.write("a", "a");
  get(path);
  EXPECT_THAT(unload(path, false, Slot::kUNet).unloaded, IsEmpty());
  EXPECT_THAT(unload(path, false, Slot::kVae).unloaded, SizeIs(1));
}

TEST_F(ResidencyTest, RestoreBringsBackWhatWasUnloadedRestorablyInTheSamePrecisions) {
  open();
  const std::string path = dir_.write("a", "a");
  get(path, Precision::kF32);
  get(path, Precision::kBF16);
  EXPECT_THAT(unload(path, true).unloaded, SizeIs(2));
  const auto restored = restore(path);
  ASSERT_TRUE(restored.ok()) << restored.status().to_string();
  ASSERT_THAT(restored->restored, SizeIs(2));
  EXPECT_EQ(restored->restored[0].precision, Precision::kF32);
  EXPECT_EQ(restored->restored[1].precision, Precision::kBF16);
  EXPECT_THAT(residency_->loaded(), SizeIs(2));
  EXPECT_THAT(restore(path)->restored, IsEmpty()) << "once is enough";
}

TEST_F(ResidencyTest, WhatWasUnloadedForGoodOrHasComeBackByItselfIsNotRestored) {
  open();
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b");
  get(a);
  unload(a, true);
  get(a);
  EXPECT_THAT(restore(a)->restored, IsEmpty());
  get(b);
  unload(b);
  EXPECT_THAT(restore(b)->restored, IsEmpty());
  get(b);
  unload(b, true);
  unload(b);
  EXPECT_THAT(restore(b)->restored, IsEmpty()) << "the second unload was for good";
}

TEST_F(ResidencyTest, APinnedModelIsNeitherEvictedNorUnloadedUntilItIsUnpinned) {
  open(2500);
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b"), c = dir_.write("c", "c");
  residency_->pin({a});
  get(a);
  get(b);
  get(c);
  EXPECT_THAT(contents(), testing::UnorderedElementsAre("a", "c")) << "a is the longest unused";
  const UnloadModelReply held = unload(a);
  ASSERT_THAT(held.held, SizeIs(1));
  EXPECT_TRUE(held.held[0].pinned);
  EXPECT_EQ(held.held[0].jobs, 0u);
  residency_->pin({});
  get(b);
  EXPECT_THAT(contents(), testing::UnorderedElementsAre("b", "c"));
}

TEST_F(ResidencyTest, WhatPinsLeaveNoRoomForIsRefusedAtOnceAndNothingIsEvictedInVain) {
  open(2500, std::chrono::hours(1));
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b"), c = dir_.write("c", "c");
  residency_->pin({a, b});
  get(a);
  get(b);
  const auto refused = ask(c).get();  // would wait an hour for jobs
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(),
              AllOf(HasSubstr("vae of a (0 MiB, pinned)"), HasSubstr("vae of b (0 MiB, pinned)")));
  EXPECT_THAT(contents(), testing::UnorderedElementsAre("a", "b"));
}

TEST_F(ResidencyTest, APinThatTakesTheRoomEndsTheWaitForItAndAnUnpinGivesTheRoomBack) {
  open(1500, std::chrono::hours(1));
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b");
  ModelHandle held = get(a);
  auto waiting = ask(b);
  residency_->pin({a});
  EXPECT_EQ(waiting.get().status().code(), StatusCode::kResourceExhausted);
  held.reset();
  residency_->pin({});
  EXPECT_TRUE(ask(b).get().ok());
}

TEST_F(ResidencyTest, ADeviceThatIsFullBeforeTheBudgetIsGetsRoomByEviction) {
  open();
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b"), c = dir_.write("c", "c");
  calls_->device_bytes = [this] { return residency_->resident_bytes(); };
  calls_->device_limit = 2500;
  get(a);
  get(b);
  get(c);
  EXPECT_THAT(contents(), testing::UnorderedElementsAre("b", "c"));
  const ModelHandle held_b = get(b), held_c = get(c);
  const auto refused = ask(a).get();
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(),
              AllOf(HasSubstr("in the way are"), HasSubstr("vae of b"), HasSubstr("vae of c")));
}

TEST_F(ResidencyTest, AModelThatIsThereIsHandedOutAndUnloadedWhileAnotherOneLoads) {
  open();
  const std::string a = dir_.write("a", "a"), b = dir_.write("b", "b");
  get(a);
  std::promise<void> may_read;
  calls_->while_reading = [may = may_read.get_future().share()](const std::string&) { may.wait(); };
  auto loading = ask(b);
  EXPECT_TRUE(ask(a).get().ok());
  EXPECT_EQ(unload(a).freed_bytes, 1000u);
  EXPECT_NE(loading.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  may_read.set_value();
  EXPECT_TRUE(loading.get().ok());
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
  EXPECT_EQ(inspect({path})->components.at(0).content_hash, "");
  get(path);
  EXPECT_EQ(inspect({path})->components.at(0).content_hash, "content");
  EXPECT_EQ(calls_->inspected[path], 1);
}

TEST_F(ResidencyTest, InspectionListsTheTensorsOnlyWhereTheyWereAskedFor) {
  open();
  const std::string path = dir_.write("a", "content");
  EXPECT_TRUE(inspect({path})->tensors.empty());
  EXPECT_EQ(inspect({path, true})->tensors,
            (std::vector<NamedTensor>{{"w", {DType::kF32, {250}}}}));
}

TEST_F(ResidencyTest, HandlesOutliveTheResidency) {
  open();
  const ModelHandle handle = get(dir_.write("a", "a"));
  residency_.reset();
  EXPECT_EQ(handle->info.content_hash, "a");
}

}  // namespace
}  // namespace luna::worker
