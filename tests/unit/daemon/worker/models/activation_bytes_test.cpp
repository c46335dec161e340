#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

/// What tensors and oneDNN's scratch take while CountingAllocator stands in for the CPU's
/// allocator.
struct Counter {
  std::mutex mutex;
  std::unordered_map<void*, std::size_t> blocks;
  std::size_t live = 0, peak = 0;
};
Counter counter;

void release(void* block) {
  const std::scoped_lock lock(counter.mutex);
  const auto found = counter.blocks.find(block);
  if (found == counter.blocks.end()) return;
  counter.live -= found->second;
  counter.blocks.erase(found);
  std::free(block);
}

class CountingAllocator : public c10::Allocator {
 public:
  CountingAllocator() : previous_(c10::GetCPUAllocator()) {
    counter.live = counter.peak = 0;
    c10::SetCPUAllocator(this, 255);
  }
  ~CountingAllocator() override { c10::SetCPUAllocator(previous_, 255); }

  c10::DataPtr allocate(std::size_t bytes) override {
    constexpr std::size_t kAlignment = 64;
    void* block = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    const std::scoped_lock lock(counter.mutex);
    counter.blocks.emplace(block, bytes);
    counter.live += bytes;
    counter.peak = std::max(counter.peak, counter.live);
    return {block, block, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

 private:
  c10::Allocator* previous_;
};

template <class Run>
std::size_t peak_of(Run run) {
  run();  // whatever is made once and kept
  const CountingAllocator allocator;
  run();
  return counter.peak;
}

constexpr std::size_t kScratch = std::size_t{16} << 20;  // the constant part of the estimates

TEST(ActivationBytes, OfAUNetForwardAreAnUpperBoundWithoutTheConstantPart) {
  const auto unet = TinyModel(size_b()).unet();
  for (const auto& [rows, height, width] : {std::array{1, 48, 40}, std::array{4, 24, 24}}) {
    const at::Tensor x = at::zeros({rows, 4, height, width}), t = at::zeros({rows});
    const at::Tensor context = at::zeros({rows, 77, 128});
    const std::size_t peak = peak_of([&] { unet->forward(x, t, context, {}); });
    const std::size_t bound = unet->activation_bytes(rows, height, width, 77) - kScratch;
    EXPECT_LE(peak, bound);
    EXPECT_GE(peak, bound / 4) << "the bound is too loose to plan with";
  }
}

TEST(ActivationBytes, OfAVaeAreUpperBoundsWithoutTheConstantPart) {
  const auto vae = TinyModel(size_a()).vae();
  const at::Tensor latent = at::zeros({1, 4, 20, 24}), pixels = at::zeros({1, 3, 160, 192});
  const std::size_t decode = peak_of([&] { vae->decode(latent); });
  const std::size_t encode = peak_of([&] { vae->encode(pixels); });
  const std::size_t decode_bound = vae->decode_activation_bytes(160, 192) - kScratch;
  const std::size_t encode_bound = vae->encode_activation_bytes(160, 192) - kScratch;
  EXPECT_LE(decode, decode_bound);
  EXPECT_GE(decode, decode_bound / 4);
  EXPECT_LE(encode, encode_bound);
  EXPECT_GE(encode, encode_bound / 4);
}

}  // namespace
}  // namespace luna::worker
