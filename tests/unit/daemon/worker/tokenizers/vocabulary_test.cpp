#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "daemon/worker/tokenizers/byte_pair_encoding.h"
#include "daemon/worker/tokenizers/clip_tokenizer.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A vocabulary of the 512 byte symbols, "ca", "cat</w>", "aa" and "aaaa", and the control tokens.
nlohmann::json small_vocabulary() {
  nlohmann::json vocabulary;
  std::uint32_t id = 0, stand_in = 256;
  for (const std::string end : {"", "</w>"}) {
    stand_in = 256;
    for (std::uint32_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      const std::uint32_t c = printable ? b : stand_in++;
      std::string name = c < 0x80 ? std::string(1, static_cast<char>(c))
                                  : std::string{static_cast<char>(0xc0 | (c >> 6)),
                                                static_cast<char>(0x80 | (c & 0x3f))};
      vocabulary[name + end] = id++;
    }
  }
  vocabulary["ca"] = 600;
  vocabulary["cat</w>"] = 601;
  vocabulary["aa"] = 602;
  vocabulary["aaaa"] = 603;
  vocabulary["<|startoftext|>"] = 700;
  vocabulary["<|endoftext|>"] = 701;
  return vocabulary;
}

constexpr std::string_view kMerges = "#version: 0.2\nc a\nca t</w>\na a\naa aa\n";

std::vector<std::int64_t> ids(std::string_view word) {
  const auto encoding =
      BytePairEncoding::from_vocabulary(small_vocabulary().dump(), kMerges).value();
  std::vector<std::int64_t> out;
  encoding.encode_word(word, out);
  return out;
}

TEST(BytePairEncoding, JoinsPairsInTheOrderOfTheList) {
  EXPECT_THAT(ids("cat"), ElementsAre(601));
  EXPECT_THAT(ids("cats"), ElementsAre(600, 't', 's' + 256));
  EXPECT_THAT(ids("caat"), ElementsAre(600, 'a', 't' + 256));
}

TEST(BytePairEncoding, EqualPairsAreJoinedFromTheLeft) {
  EXPECT_THAT(ids("aaab"), ElementsAre(602, 'a', 'b' + 256));
  EXPECT_THAT(ids("aaaab"), ElementsAre(603, 'b' + 256));
}

TEST(BytePairEncoding, AnyByteHasASymbol) {
  std::string all;
  for (int b = 0; b < 256; ++b) all += static_cast<char>(b);
  EXPECT_EQ(ids(all).size(), 256u);
  EXPECT_THAT(ids(""), ElementsAre());
}

TEST(BytePairEncoding, RefusesListsThatDoNotFit) {
  const auto message = [](std::string_view json, std::string_view merges) {
    const auto result = BytePairEncoding::from_vocabulary(json, merges);
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    return result.status().message();
  };
  const std::string sound = small_vocabulary().dump();
  EXPECT_THAT(message("[", kMerges), HasSubstr("expected an object"));
  EXPECT_THAT(message("{}", kMerges), HasSubstr("<|startoftext|>"));
  EXPECT_THAT(message(sound, "c\n"), HasSubstr("two symbols"));
  EXPECT_THAT(message(sound, "c b\n"), HasSubstr("no symbol 'cb'"));
  nlohmann::json negative = small_vocabulary();
  negative["ca"] = -1;
  EXPECT_THAT(message(negative.dump(), kMerges), HasSubstr("'ca'"));
  EXPECT_THAT(BytePairEncoding::from_merges("#version\nc a\n").status().message(),
              HasSubstr("ends after 1 merges; CLIP has 48894"));
}

TEST(ClipTokenizer, LoadsAFolderWithVocabularyAndMerges) {
  const support::TempDir dir;
  dir.write("vocab.json", small_vocabulary().dump());
  dir.write("merges.txt", kMerges);
  const auto tokenizer = ClipTokenizer::load(dir.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().to_string();
  EXPECT_THAT((*tokenizer)->encode("A CAT"), ElementsAre('a' + 256, 601));
  const auto chunks = (*tokenizer)->tokenize("cat", {}).value().chunks;
  EXPECT_EQ(chunks[0][0].id, 700);
  EXPECT_EQ(chunks[0][2].id, 701);
}

TEST(ClipTokenizer, SaysWhichFileIsMissing) {
  const support::TempDir dir;
  const auto absent = ClipTokenizer::load(dir.file("absent.txt"));
  EXPECT_EQ(absent.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.status().message(), HasSubstr("absent.txt"));
  EXPECT_THAT(ClipTokenizer::load(dir.path()).status().message(), HasSubstr("vocab.json"));
}

}  // namespace
}  // namespace luna::worker
