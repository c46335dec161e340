#include "daemon/worker/models/clip_text.h"

#include <algorithm>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/models/clip_weighting.h"
#include "tests/unit/daemon/worker/models/parity_fixture.h"

namespace luna::worker {
namespace {

using Chunks = std::vector<std::vector<Token>>;
constexpr double kParity = 1e-4;

class ClipTextParity : public testing::Test {
 protected:
  Chunks chunks(const std::string& name) const { return recorded_.chunks(name); }

  void expect_parity(const TextEncoder& encoder, const std::string& name, int clip_skip = 0) const {
    expect_parity(encoder, name, chunks(name), clip_skip);
  }
  void expect_parity(const TextEncoder& encoder, const std::string& name, const Chunks& chunks,
                     int clip_skip) const {
    const auto found = encoder.encode(chunks, {std::max(clip_skip, 1), true});
    ASSERT_TRUE(found.ok()) << name << ": " << found.status().to_string();
    EXPECT_EQ(found->hidden.sizes(),
              at::IntArrayRef({1, 77 * static_cast<std::int64_t>(chunks.size()), encoder.width()}));
    EXPECT_EQ(found->pooled.sizes(), at::IntArrayRef({1, encoder.width()}));
    EXPECT_LE(recorded_.error_of(name + ".hidden", found->hidden), kParity) << name;
    EXPECT_LE(recorded_.error_of(name + ".pooled", found->pooled), kParity) << name;
  }

  ParityFixture recorded_{"clip"};
  TinyModel small_{[] {
    auto options = size_a();
    options.with_unet = options.with_vae = false;
    return options;
  }()};
};

TEST_F(ClipTextParity, PromptsOfAnyLengthAgreeWithComfyUi) {
  const auto encoder = small_.text();
  for (const char* name : {"a_0", "a_5", "a_76", "a_77", "a_200"}) expect_parity(*encoder, name);
}

TEST_F(ClipTextParity, WeightsMoveStatesAwayFromTheEmptyPromptAsInComfyUi) {
  const auto encoder = small_.text();
  expect_parity(*encoder, "a_weighted_5");
  expect_parity(*encoder, "a_weighted_200");
}

TEST_F(ClipTextParity, ClipSkipTakesAnEarlierLayerThroughTheFinalNorm) {
  const auto encoder = small_.text();
  expect_parity(*encoder, "a_skip_1", 1);
  expect_parity(*encoder, "a_skip_2", 2);
}

TEST_F(ClipTextParity, VectorsOfTextualInversionReplaceTokens) {
  Chunks given = chunks("a_vectors");
  const at::Tensor vectors = made_up("a_vectors.vectors", {3, 64}, 0.5f);
  for (std::int64_t i = 0; i < 3; ++i) {
    const at::Tensor row = vectors[i].contiguous();
    given[0][static_cast<std::size_t>(2 + i)].embedding.assign(row.const_data_ptr<float>(),
                                                               row.const_data_ptr<float>() + 64);
  }
  expect_parity(*small_.text(), "a_vectors", given, 0);
}

TEST_F(ClipTextParity, AnotherWidthDepthAndNumberOfHeadsAgrees) {
  auto options = size_b();
  options.with_unet = options.with_vae = false;
  const auto encoder = TinyModel(options).text();
  expect_parity(*encoder, "b_76");
  expect_parity(*encoder, "b_skip_2_weighted", 2);
  expect_parity(*encoder, "b_skip_3", 3);
}

TEST_F(ClipTextParity, HalfPrecisionWeightsAreComputedInF32) {
  expect_parity(*small_.text(at::kHalf), "half_5");
}

TEST_F(ClipTextParity, NoChunksMeanTheEmptyPrompt) {
  const auto encoder = small_.text();
  const auto nothing = encoder->encode({}, {}),
             empty = encoder->encode({empty_chunk(77, kClipEnd)}, {});
  ASSERT_TRUE(nothing.ok() && empty.ok());
  EXPECT_LE(relative(nothing->hidden, empty->hidden), 1e-6);
  EXPECT_LE(relative(nothing->pooled, empty->pooled), 1e-6);
}

TEST_F(ClipTextParity, ALongPromptInSeveralPortionsEqualsItsChunksAlone) {
  const auto encoder = small_.text();
  Chunks many;
  for (int i = 0; i < 6; ++i)
    for (const auto& chunk : chunks("a_weighted_200")) many.push_back(chunk);
  const auto all = encoder->encode(many, {}), few = encoder->encode(chunks("a_weighted_200"), {});
  ASSERT_TRUE(all.ok() && few.ok());
  EXPECT_LE(relative(all->hidden, few->hidden.repeat({1, 6, 1})), 1e-5);
}

TEST_F(ClipTextParity, WrongRequestsAreRefusedWithWhatWasExpected) {
  const auto encoder = small_.text();
  const auto refusal = [&](const Chunks& chunks, int clip_skip) {
    const auto result = encoder->encode(chunks, {clip_skip, true});
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    return result.status().message();
  };
  Chunks chunk = {empty_chunk(77, kClipEnd)};
  EXPECT_THAT(refusal(chunk, 3), testing::HasSubstr("1 to 2"));
  EXPECT_THAT(refusal(chunk, -1), testing::HasSubstr("clip skip"));
  EXPECT_THAT(refusal({empty_chunk(76, kClipEnd)}, 1), testing::HasSubstr("77 tokens"));
  chunk[0][3].id = 49408;
  EXPECT_THAT(refusal(chunk, 1), testing::HasSubstr("49407"));
  chunk[0][3] = {.id = 5, .weight = std::numeric_limits<float>::quiet_NaN(), .embedding = {}};
  EXPECT_THAT(refusal(chunk, 1), testing::HasSubstr("finite"));
  chunk[0][3] = {.id = 0, .weight = 1.0f, .embedding = std::vector<float>(63)};
  EXPECT_THAT(refusal(chunk, 1), testing::HasSubstr("64 wide"));
}

TEST(PooledPosition, IsTheFirstEndTokenAndCountsGivenVectors) {
  for (const std::int64_t pad : {kClipEnd, std::int64_t{0}})
    EXPECT_EQ(pooled_position(empty_chunk(77, pad), pad), 1);
  std::vector<Token> chunk = empty_chunk(77, kClipEnd);
  chunk[1].id = 320;
  chunk[2].embedding = {1.0f};
  EXPECT_EQ(pooled_position(chunk, kClipEnd), 3);
  for (Token& token : chunk) token = {.id = 7, .weight = 1.0f, .embedding = {}};
  EXPECT_EQ(pooled_position(chunk, kClipEnd), 76);
}

}  // namespace
}  // namespace luna::worker
