#include "daemon/worker/tokenizers/prompt_chunks.h"

#include <gmock/gmock.h>

namespace luna::worker {
namespace {

using ::testing::ElementsAre;

constexpr ChunkRules kSmall = {
    .start = 1, .end = 2, .pad = 0, .max_length = 10, .max_word_length = 4};

std::vector<Token> group(std::size_t size, std::int64_t id) {
  return std::vector<Token>(size, {id, 1.5f, {}});
}

std::vector<std::vector<std::int64_t>> chunks(const std::vector<std::vector<Token>>& groups) {
  std::vector<std::vector<std::int64_t>> ids;
  const auto chunked = chunk_prompt(groups, kSmall).value();
  for (const auto& chunk : chunked) {
    auto& row = ids.emplace_back();
    for (const Token& token : chunk) row.push_back(token.id);
  }
  return ids;
}

TEST(ChunkPrompt, NothingGivesOneEmptyChunk) {
  EXPECT_THAT(chunks({}), ElementsAre(ElementsAre(1, 2, 0, 0, 0, 0, 0, 0, 0, 0)));
}

TEST(ChunkPrompt, AFullChunkHasRoomForStartAndEndOnly) {
  EXPECT_THAT(chunks({group(8, 7)}), ElementsAre(ElementsAre(1, 7, 7, 7, 7, 7, 7, 7, 7, 2)));
}

TEST(ChunkPrompt, AShortGroupIsNeverCut) {
  EXPECT_THAT(chunks({group(6, 7), group(3, 8)}),
              ElementsAre(ElementsAre(1, 7, 7, 7, 7, 7, 7, 2, 0, 0),
                          ElementsAre(1, 8, 8, 8, 2, 0, 0, 0, 0, 0)));
}

TEST(ChunkPrompt, ALongGroupIsCutAtTheBoundary) {
  EXPECT_THAT(chunks({group(6, 7), group(4, 8)}),
              ElementsAre(ElementsAre(1, 7, 7, 7, 7, 7, 7, 8, 8, 2),
                          ElementsAre(1, 8, 8, 2, 0, 0, 0, 0, 0, 0)));
}

TEST(ChunkPrompt, WeightsStayWithTheirTokens) {
  const auto rows = chunk_prompt({group(1, 7)}, kSmall).value();
  EXPECT_EQ(rows[0][0].weight, 1.0f);
  EXPECT_EQ(rows[0][1].weight, 1.5f);
  EXPECT_EQ(rows[0][2].weight, 1.0f);
}

TEST(ChunkPrompt, ChunksTooShortForAGroupAreRefused) {
  ChunkRules rules = kSmall;
  rules.max_length = 5;
  EXPECT_EQ(chunk_prompt({group(3, 7)}, rules).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace luna::worker
