#include "daemon/worker/tokenizers/clip_tokenizer.h"

#include <atomic>
#include <cmath>
#include <thread>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"
#include "tests/unit/daemon/worker/tokenizers/clip_vocabulary.h"

namespace luna::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// The embeddings that the recording script made: row r of embedding k is filled with -(1000 (k +
/// 1) + r).
std::optional<std::vector<std::vector<float>>> recorded_embedding(std::string_view name) {
  const std::vector<std::pair<std::string_view, int>> kKnown = {
      {"one", 1}, {"three", 3}, {"nine", 9}, {"sub/deep", 2}};
  for (std::size_t k = 0; k < kKnown.size(); ++k) {
    if (kKnown[k].first != name) continue;
    std::vector<std::vector<float>> rows;
    for (int r = 0; r < kKnown[k].second; ++r)
      rows.emplace_back(4, -(1000.0f * static_cast<float>(k + 1) + static_cast<float>(r)));
    return rows;
  }
  return std::nullopt;
}

class ClipTokenizerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(clip_tokenizer().ok()) << clip_tokenizer().status().to_string()
                                       << "\nrun ./dev setup, or set LUNA_CLIP_VOCABULARY";
  }
  const ClipTokenizer& tokenizer() const { return **clip_tokenizer(); }
  ClipTokenizer::Options options() const {
    ClipTokenizer::Options options;
    options.embeddings = recorded_embedding;
    return options;
  }
  ClipTokenizer::Tokenized tokenize(std::string_view text) const {
    return tokenizer().tokenize(text, options()).value();
  }
};

std::int64_t id_of(const Token& token) {
  return token.embedding.empty() ? token.id : static_cast<std::int64_t>(token.embedding[0]);
}

float weight_of(const nlohmann::json& value) {
  if (!value.is_string()) return static_cast<float>(value.get<double>());
  return value == "nan" ? NAN : value == "inf" ? INFINITY : -INFINITY;
}

TEST_F(ClipTokenizerTest, AgreesWithTheReferenceOnEveryRecordedPrompt) {
  const auto recorded = nlohmann::json::parse(
      support::read_file(LUNA_SOURCE_DIR "/tests/parity/fixtures/clip_tokens.json"));
  EXPECT_GE(recorded.size(), 60u);
  for (const auto& entry : recorded) {
    const std::string prompt = entry["prompt"];
    SCOPED_TRACE(prompt);
    const auto chunks = tokenize(prompt).chunks;
    ASSERT_EQ(chunks.size(), entry["chunks"].size());
    for (std::size_t c = 0; c < chunks.size(); ++c) {
      std::vector<std::int64_t> ids;
      for (const Token& token : chunks[c]) ids.push_back(id_of(token));
      EXPECT_EQ(ids, entry["chunks"][c].get<std::vector<std::int64_t>>()) << "chunk " << c;
      std::size_t at = 0;
      for (const auto& run : entry["weights"][c]) {
        for (int i = 0; i < run[0].get<int>(); ++i, ++at)
          EXPECT_TRUE(chunks[c][at].weight == weight_of(run[1]) || std::isnan(weight_of(run[1])))
              << "token " << at << ": " << chunks[c][at].weight;
      }
      EXPECT_EQ(at, chunks[c].size());
    }
  }
}

TEST_F(ClipTokenizerTest, EncodesPlainTextWithoutStartAndEnd) {
  EXPECT_THAT(tokenizer().encode("a photo of a cat"), ElementsAre(320, 1125, 539, 320, 2368));
  EXPECT_THAT(tokenizer().encode("(a:1.2)"), SizeIs(7));
  EXPECT_THAT(tokenizer().encode(""), ElementsAre());
}

TEST_F(ClipTokenizerTest, AnEmptyPromptIsOneChunkOfPadding) {
  const auto result = tokenize("");
  ASSERT_THAT(result.chunks, SizeIs(1));
  ASSERT_THAT(result.chunks[0], SizeIs(77));
  EXPECT_EQ(result.chunks[0][0].id, 49406);
  EXPECT_EQ(result.chunks[0][1].id, 49407);
  EXPECT_EQ(result.chunks[0][76].id, 49407);
}

TEST_F(ClipTokenizerTest, PadsWithTheTokenAskedFor) {
  ClipTokenizer::Options with_zero;
  with_zero.pad = 0;
  const auto chunks = tokenizer().tokenize("cat", with_zero).value().chunks;
  EXPECT_EQ(chunks[0][2].id, 49407);
  EXPECT_EQ(chunks[0][3].id, 0);
}

TEST_F(ClipTokenizerTest, WithoutEmbeddingsTheReferenceIsText) {
  const auto chunks = tokenizer().tokenize("embedding:one", {}).value().chunks;
  EXPECT_TRUE(chunks[0][1].embedding.empty());
  EXPECT_NE(chunks[0][1].id, 49407);
}

TEST_F(ClipTokenizerTest, NamesTheEmbeddingsThatDoNotExist) {
  EXPECT_THAT(tokenize("embedding:gone, a embedding:one").warnings,
              ElementsAre(HasSubstr("'gone,'")));
  EXPECT_THAT(tokenize("embedding: ").warnings, SizeIs(1));
}

TEST_F(ClipTokenizerTest, ManyVectorsFromAShortPromptAreRefused) {
  std::string prompt;
  for (int i = 0; i < 500; ++i) prompt += "embedding:nine ";
  EXPECT_EQ(tokenizer().tokenize(prompt, options()).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ClipTokenizerTest, HostileTextsAreRefusedOrServedQuickly) {
  EXPECT_EQ(tokenizer().tokenize("\xff\xfe", options()).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(tokenizer().tokenize(std::string(1 << 20, 'a'), options()).status().code(),
            StatusCode::kInvalidArgument);
  for (const char letter : {'a', '!', '9', '(', ')', '\0', ' '})
    EXPECT_TRUE(tokenizer().tokenize(std::string(65536, letter), options()).ok()) << letter;
}

TEST_F(ClipTokenizerTest, ManyThreadsShareOneTokenizer) {
  const auto expected = tokenizer().encode("some shared words of a prompt");
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        (void)tokenizer().encode("word" + std::to_string(i * 4 + t));
        if (tokenizer().encode("some shared words of a prompt") != expected) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace luna::worker
