#include "daemon/worker/ops/parallel_threads.h"

#include <filesystem>
#include <iterator>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace luna::worker::ops {
namespace {

std::ptrdiff_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

TEST(ParallelThreads, EndWhenTheirOwnerRestsAndComeBackWithItsWork) {
  std::thread owner([] {
    at::set_num_threads(3);
    const auto before = threads_of_this_process();
    const at::Tensor numbers = at::ones({1 << 22});
    for (int turn = 0; turn < 2; ++turn) {
      EXPECT_EQ((numbers + numbers).sum().item<float>(), 2 << 22);
      EXPECT_EQ(threads_of_this_process(), before + 2);
      end_parallel_threads();
      for (int wait = 0; wait < 1000 && threads_of_this_process() > before; ++wait)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      EXPECT_EQ(threads_of_this_process(), before);
    }
  });
  owner.join();
}

}  // namespace
}  // namespace luna::worker::ops
