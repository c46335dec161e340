// How the core answers workers that seek weights: from its shelf, from another worker's reading, or
// with leave to read the file.
#include "tests/unit/daemon/front/core/core_fixture.h"

namespace luna::front {
namespace {

class SharedReads : public CoreTest {
 protected:
  struct Seeking {
    int answers = 0;
    std::optional<HostWeights> weights;
    bool told_to_read() const { return answers == 1 && !weights; }
  };
  std::shared_ptr<Seeking> seek(std::uint64_t worker) {
    auto seeking = std::make_shared<Seeking>();
    core().seek_weights(WorkerId{worker}, source_, [seeking](std::optional<HostWeights> weights) {
      ++seeking->answers;
      seeking->weights = std::move(weights);
    });
    return seeking;
  }
  static HostWeights weights(std::size_t bytes = 100) {
    return {"hash", {}, {}, bytes_from(std::string(bytes, 'x'))};
  }
  const ComponentSource source_{{.path = "/models/a"}, Slot::kVae};
};

TEST_F(SharedReads, TheSecondWorkerMapsWhatTheFirstOneReads) {
  const auto first = seek(1);
  const auto second = seek(2);
  EXPECT_TRUE(first->told_to_read());
  EXPECT_EQ(second->answers, 0);
  const HostWeights read = weights();
  core().keep_weights(WorkerId{1}, source_, read);
  ASSERT_TRUE(second->weights);
  EXPECT_EQ(second->weights->bytes, read.bytes);
  EXPECT_EQ(seek(3)->weights->bytes, read.bytes) << "from the shelf";
  const StatusInfo status = core().status();
  EXPECT_EQ(status.component_reads, 1u);
  EXPECT_EQ(status.host_copy_hits, 2u);
}

TEST_F(SharedReads, WhatTheShelfHasNoRoomForIsSharedAllTheSame) {
  config_.memory.host_copies_mib = 1;
  seek(1);
  const auto second = seek(2);
  const HostWeights large = weights((1u << 20) + 1);
  core().keep_weights(WorkerId{1}, source_, large);
  ASSERT_TRUE(second->weights);
  EXPECT_EQ(second->weights->bytes, large.bytes);
  EXPECT_EQ(core().status().host_copies, 0u);
}

TEST_F(SharedReads, AFailureADeathAndWeightsThatAreNotWholeEachLetTheNextOneRead) {
  for (std::uint64_t id = 1; id <= 4; ++id) add_worker(id);
  std::vector<std::shared_ptr<Seeking>> seeks;
  for (std::uint64_t id = 1; id <= 4; ++id) seeks.push_back(seek(id));
  core().read_failed(WorkerId{1}, source_);
  EXPECT_TRUE(seeks[1]->told_to_read());
  core().worker_gone(WorkerId{2}, killed());
  EXPECT_TRUE(seeks[2]->told_to_read());
  HostWeights lying = weights();
  lying.tensors = {{"w", {DType::kF32, {26}}, 0}};
  core().keep_weights(WorkerId{3}, source_, lying);
  EXPECT_TRUE(seeks[3]->told_to_read());
  EXPECT_EQ(core().status().component_reads, 0u);
}

TEST_F(SharedReads, AWaitEndsAfterTheConfiguredTime) {
  config_.memory.shared_read_wait_ms = 5000;
  seek(1);
  const auto second = seek(2);
  advance(std::chrono::milliseconds(4999));
  core().tick();
  EXPECT_EQ(second->answers, 0);
  advance(std::chrono::milliseconds(1));
  core().tick();
  EXPECT_TRUE(second->told_to_read());
}

}  // namespace
}  // namespace luna::front
