#include "daemon/worker/ops/low_rank.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

namespace luna::worker::ops {
namespace {

struct Shape {
  std::int64_t out, in, rank;
};

at::Tensor exact(const at::Tensor& weight, const at::Tensor& up, const at::Tensor& down) {
  return weight.to(at::kDouble) + at::mm(up.to(at::kDouble), down.to(at::kDouble));
}

class LowRank : public testing::TestWithParam<Shape> {
 protected:
  const at::Tensor weight_ = at::rand({GetParam().out, GetParam().in}) - 0.5;
  const at::Tensor up_ = at::rand({GetParam().out, GetParam().rank}) - 0.5;
  const at::Tensor down_ = at::rand({GetParam().rank, GetParam().in}) - 0.5;
};
// Extents below, at and above those of the blocks in which it works, and rows of odd width.
INSTANTIATE_TEST_SUITE_P(Shapes, LowRank,
                         testing::Values(Shape{1, 1, 1}, Shape{3, 7, 2}, Shape{4, 24, 16},
                                         Shape{5, 25, 16}, Shape{64, 240, 1}, Shape{65, 248, 64},
                                         Shape{320, 320, 16}, Shape{640, 2885, 33}),
                         [](const auto& info) {
                           return std::to_string(info.param.out) + "x" +
                                  std::to_string(info.param.in) + "OfRank" +
                                  std::to_string(info.param.rank);
                         });

TEST_P(LowRank, IsTheSumInF32WhateverTheWeightsType) {
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    const at::Tensor weight = weight_.to(type);
    const at::Tensor result = at::full(weight_.sizes(), std::nan(""), at::kFloat);
    add_low_rank({{weight, up_, down_, result}});
    const double error =
        (result.to(at::kDouble) - exact(weight, up_, down_)).abs().max().item<double>();
    EXPECT_LT(error, 1e-6 * static_cast<double>(GetParam().rank)) << type;
  }
}

TEST_P(LowRank, HasTheSameBitsInPlaceInUnalignedMemoryAndAgain) {
  const at::Tensor result = at::empty_like(weight_), again = at::empty_like(weight_);
  add_low_rank({{weight_, up_, down_, result}});
  add_low_rank({{weight_, up_, down_, again}});
  EXPECT_TRUE(again.equal(result));
  const at::Tensor in_place = weight_.clone();
  add_low_rank({{in_place, up_, down_, in_place}});
  EXPECT_TRUE(in_place.equal(result));
  const at::Tensor memory = at::empty({weight_.numel() + 1});
  const at::Tensor shifted = memory.narrow(0, 1, weight_.numel()).view(weight_.sizes());
  add_low_rank({{weight_, up_, down_, shifted}});
  EXPECT_TRUE(shifted.equal(result));
}

TEST(LowRankAdditions, HaveTheSameBitsTogetherAsAlone) {
  std::vector<LowRankAddition> together, alone;
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    for (const Shape& shape : {Shape{3, 7, 2}, Shape{640, 960, 16}, Shape{1, 300000, 4}}) {
      together.push_back({at::rand({shape.out, shape.in}).to(type),
                          at::rand({shape.out, shape.rank}), at::rand({shape.rank, shape.in}),
                          at::empty({shape.out, shape.in})});
      alone.push_back(together.back());
      alone.back().result = at::empty({shape.out, shape.in});
    }
  }
  add_low_rank(together);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    add_low_rank({alone[i]});
    EXPECT_TRUE(together[i].result.equal(alone[i].result)) << i;
  }
  add_low_rank({});
}

}  // namespace
}  // namespace luna::worker::ops
