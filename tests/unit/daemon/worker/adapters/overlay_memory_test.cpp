#include "daemon/worker/adapters/overlay_memory.h"

#include <gmock/gmock.h>

namespace luna::worker {
namespace {

AdapterPlan plan_of(const std::map<std::string, std::vector<std::int64_t>>& shapes) {
  AdapterPlan plan;
  plan.shapes = shapes;
  return plan;
}

TEST(OverlayMemory, HoldsTheWeightsThatRunAsTheyLieInTheTypeThatRuns) {
  const at::Tensor packed = at::rand({8, 8}).to_mkldnn();
  const OverlayLayout layout = OverlayLayout::of(
      plan_of({{"kernel", {3, 5, 1, 1}}, {"matrix", {7, 3}}, {"packed", {8, 8}}, {"unused", {2}}}),
      {{"kernel", at::rand({3, 5})},
       {"matrix", at::zeros({7, 3}, at::kHalf)},
       {"other", at::rand({4})},
       {"packed", packed}});
  const auto memory = OverlayMemory::allocate(layout, at::kCPU);
  ASSERT_TRUE(memory.ok()) << memory.status().to_string();
  const WeightStore::Tensors parts = (*memory)->tensors();
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts.at("kernel").sizes(), (std::vector<std::int64_t>{3, 5, 1, 1}));
  EXPECT_EQ(parts.at("kernel").scalar_type(), at::kFloat);
  EXPECT_EQ(parts.at("matrix").scalar_type(), at::kHalf);
  EXPECT_EQ(parts.at("kernel").const_data_ptr(), (*memory)->address());
  // No part lies over another.
  at::Tensor(parts.at("kernel")).fill_(1);
  at::Tensor(parts.at("matrix")).fill_(2);
  EXPECT_TRUE(parts.at("kernel").eq(1).all().item<bool>());
}

TEST(OverlayMemory, IsTheSameAtEveryLookAndLivesAsLongAsAWeightInIt) {
  const OverlayLayout layout =
      OverlayLayout::of(plan_of({{"w", {1024, 1024}}}), {{"w", at::zeros({1024, 1024})}});
  auto memory = OverlayMemory::allocate(layout, at::kCPU).value();
  const at::Tensor once = memory->tensors().at("w"), twice = memory->tensors().at("w");
  EXPECT_EQ(once.const_data_ptr(), twice.const_data_ptr());
  EXPECT_EQ(memory.use_count(), 3) << "each weight counts";
  const std::weak_ptr<OverlayMemory> watched = memory;
  memory.reset();
  at::Tensor(once).fill_(3);
  EXPECT_TRUE(twice.eq(3).all().item<bool>());
  EXPECT_FALSE(watched.expired());
}

TEST(OverlayMemory, OfAPlanThatChangesNothingThatRunsIsEmpty) {
  const auto memory = OverlayMemory::allocate(OverlayLayout(), at::kCPU);
  ASSERT_TRUE(memory.ok());
  EXPECT_TRUE((*memory)->tensors().empty());
}

}  // namespace
}  // namespace luna::worker
