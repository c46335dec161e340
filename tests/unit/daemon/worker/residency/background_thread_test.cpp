#include "daemon/worker/residency/background_thread.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

TEST(BackgroundThread, RestsOnceAfterTheLastPieceOfWorkThatWaited) {
  std::atomic<int> prepared = 0, worked = 0, rested = 0, worked_at_rest = -1;
  std::promise<void> go, at_rest;
  {
    BackgroundThread thread(
        "test", 4, [&] { ++prepared; },
        [&] {
          worked_at_rest = worked.load();
          if (++rested == 1) at_rest.set_value();
        });
    ASSERT_TRUE(thread.post([&] { go.get_future().wait(); }).ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(thread.post([&] { ++worked; }).ok());
    go.set_value();
    at_rest.get_future().wait();
  }
  EXPECT_EQ(prepared, 1);
  EXPECT_EQ(rested, 1);
  EXPECT_EQ(worked_at_rest, 3);
}

TEST(BackgroundThread, RefusesWhatExceedsItsLimitAndDropsWhatWaitsWhenItEnds) {
  std::promise<void> began, go;
  std::atomic<int> worked = 0;
  std::thread ender;
  {
    BackgroundThread thread("test", 1);
    ASSERT_TRUE(thread.post([&] { began.set_value(), go.get_future().wait(), ++worked; }).ok());
    began.get_future().wait();
    ASSERT_TRUE(thread.post([&] { ++worked; }).ok());
    EXPECT_EQ(thread.post([] {}).code(), StatusCode::kResourceExhausted);
    ender = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      go.set_value();
    });
  }
  ender.join();
  EXPECT_EQ(worked, 1);
}

}  // namespace
}  // namespace luna::worker
