#include <cmath>

#include <gtest/gtest.h>

#include "daemon/worker/ops/activation.h"
#include "daemon/worker/ops/attention.h"
#include "daemon/worker/ops/conv2d.h"
#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/ops/linear.h"
#include "daemon/worker/ops/normalization.h"
#include "daemon/worker/ops/timestep_embedding.h"

namespace luna::worker::ops {
namespace {

double relative(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor a = found.to(at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST(Conv2d, APackedWeightGivesThePlainResultForEveryBatchAndExtent) {
  if (!can_pack(at::kCPU, at::kFloat)) GTEST_SKIP() << "no oneDNN on this machine";
  const at::Tensor weight = at::randn({48, 32, 3, 3}), bias = at::randn({48});
  for (const std::int64_t stride : {1, 2}) {
    const Conv2dGeometry geometry{.stride = stride, .padding = 1};
    const at::Tensor packed = pack_conv2d_weight(weight, geometry, {2, 32, 16, 16});
    EXPECT_TRUE(is_packed(packed));
    for (const auto& [n, h, w] :
         {std::array{1, 16, 16}, std::array{5, 7, 9}, std::array{2, 40, 3}}) {
      const at::Tensor x = at::randn({n, 32, h, w});
      EXPECT_LE(relative(conv2d(x, packed, bias, geometry), at::conv2d(x, weight, bias, stride, 1)),
                1e-6);
    }
  }
}

TEST(Conv2d, ResultsAreInPictureFormatWhateverComesIn) {
  const at::Tensor x = at::randn({2, 8, 6, 6}), weight = at::randn({4, 8, 1, 1});
  const at::Tensor y = conv2d(x, weight, at::Tensor(), Conv2dGeometry{});
  EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_LE(relative(y, at::conv2d(x, weight)), 1e-6);
}

TEST(Linear, APackedWeightGivesThePlainResultForEveryNumberOfRows) {
  if (!can_pack(at::kCPU, at::kBFloat16)) GTEST_SKIP() << "no bf16 on this machine";
  const at::Tensor weight = at::randn({40, 24}).to(at::kBFloat16);
  const at::Tensor bias = at::randn({40}).to(at::kBFloat16);
  const at::Tensor packed = pack_linear_weight(weight, 64);
  for (const std::int64_t rows : {1, 77, 200}) {
    const at::Tensor x = at::randn({2, rows, 24}).to(at::kBFloat16);
    EXPECT_LE(relative(linear(x, packed, bias), at::linear(x, weight, bias)), 1e-2);
  }
}

TEST(Tokens, GoingToTokensAndBackIsAViewAndChangesNothing) {
  const at::Tensor picture = to_picture_format(at::randn({2, 6, 3, 5}));
  const at::Tensor tokens = tokens_of(picture);
  EXPECT_EQ(tokens.sizes(), at::IntArrayRef({2, 15, 6}));
  EXPECT_EQ(tokens.const_data_ptr(), picture.const_data_ptr());
  EXPECT_TRUE(at::equal(picture_of(tokens, 3, 5), picture));
  EXPECT_TRUE(picture_of(tokens, 3, 5).is_contiguous(at::MemoryFormat::ChannelsLast));
}

at::Tensor textbook_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              std::int64_t heads, bool causal) {
  const auto split = [&](const at::Tensor& x) {
    return x.to(at::kDouble).reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
  };
  at::Tensor scores = at::matmul(split(q), split(k).transpose(2, 3)) /
                      std::sqrt(static_cast<double>(q.size(2) / heads));
  if (causal)
    scores = scores.masked_fill(at::ones({q.size(1), k.size(1)}, at::kBool).triu(1), -INFINITY);
  return at::matmul(scores.softmax(-1), split(v)).transpose(1, 2).flatten(2);
}

TEST(Attention, IsSoftmaxOfScaledProductsForEachHead) {
  const at::Tensor q = at::randn({2, 33, 40}), k = at::randn({2, 77, 40}),
                   v = at::randn({2, 77, 40});
  EXPECT_LE(relative(attention(q, k, v, {.heads = 8}), textbook_attention(q, k, v, 8, false)),
            1e-6);
  EXPECT_LE(relative(attention(q, q, q, {.heads = 5, .causal = true}),
                     textbook_attention(q, q, q, 5, true)),
            1e-6);
}

TEST(Attention, InPiecesOfAFewQueriesItIsTheSame) {
  const at::Tensor q = at::randn({2, 33, 40}), k = at::randn({2, 77, 40});
  // Scores of 5 queries at a time: the last piece is shorter.
  const AttentionOptions few{.heads = 8, .score_bytes = 5 * 2 * 8 * 77 * 4};
  EXPECT_LE(relative(attention_in_pieces(q, k, k, few), textbook_attention(q, k, k, 8, false)),
            1e-6);
  const AttentionOptions causal{.heads = 8, .causal = true, .score_bytes = 1};
  EXPECT_LE(relative(attention_in_pieces(q, q, q, causal), textbook_attention(q, q, q, 8, true)),
            1e-6);
}

TEST(GroupNorm, FusedSiluEqualsNormThenSilu) {
  const at::Tensor x = to_picture_format(at::randn({2, 32, 5, 7}));
  const at::Tensor weight = at::randn({32}), bias = at::randn({32}), before = x.clone();
  const at::Tensor normed = group_norm(x, 8, weight, bias, 1e-5);
  EXPECT_LE(relative(group_norm_silu(x, 8, weight, bias, 1e-5), at::silu(normed)), 1e-6);
  EXPECT_TRUE(at::equal(x, before));
}

TEST(Activation, FollowsTheDefinitions) {
  const at::Tensor x = at::randn({3, 10});
  EXPECT_LE(relative(quick_gelu(x), x * at::sigmoid(x * 1.702)), 1e-6);
  EXPECT_LE(relative(geglu(x), x.narrow(1, 0, 5) * at::gelu(x.narrow(1, 5, 5))), 1e-6);
}

TEST(TimestepEmbedding, HasCosinesFirstAndPadsOddWidths) {
  const at::Tensor embedding = timestep_embedding(at::tensor({0.0f, 10.0f}), 7);
  EXPECT_EQ(embedding.sizes(), at::IntArrayRef({2, 7}));
  EXPECT_FLOAT_EQ(embedding[0][0].item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(embedding[0][3].item<float>(), 0.0f);
  EXPECT_NEAR(embedding[1][1].item<float>(), std::cos(10.0 * std::exp(-std::log(10000.0) / 3)),
              1e-6);
  EXPECT_NEAR(embedding[1][5].item<float>(), std::sin(10.0 * std::exp(-2 * std::log(10000.0) / 3)),
              1e-6);
  EXPECT_FLOAT_EQ(embedding[1][6].item<float>(), 0.0f);
}

}  // namespace
}  // namespace luna::worker::ops
