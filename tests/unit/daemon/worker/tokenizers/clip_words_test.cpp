#include "daemon/worker/tokenizers/clip_words.h"

#include <gmock/gmock.h>

namespace luna::worker {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (const ClipWord& word : clip_words(text)) {
    out.push_back(word.kind == ClipWord::Kind::kText    ? word.text
                  : word.kind == ClipWord::Kind::kStart ? "START"
                                                        : "END");
  }
  return out;
}

TEST(ClipWords, RunsOfLettersSingleDigitsAndTheRest) {
  EXPECT_THAT(words("Hello, world 42!!"), ElementsAre("hello", ",", "world", "4", "2", "!!"));
}

TEST(ClipWords, ContractionsStandAlone) {
  EXPECT_THAT(words("it's we'll"), ElementsAre("it", "'s", "we", "'ll"));
  EXPECT_THAT(words("!'s"), ElementsAre("!'", "s"));
}

TEST(ClipWords, ComposesThenLowers) {
  EXPECT_THAT(words("E\u0301"), ElementsAre("\u00e9"));
  EXPECT_THAT(words("\u0130"), ElementsAre("i", "\u0307"));
}

TEST(ClipWords, ControlTokensAreFoundAnywhere) {
  EXPECT_THAT(words("a<|startoftext|>!!<|endoftext|>"), ElementsAre("a", "START", "!!", "END"));
}

TEST(ClipWords, ControlTokensInCapitalsAreText) {
  EXPECT_THAT(words("<|EndOfText|>!"), ElementsAre("<|", "endoftext", "|>", "!"));
}

TEST(ClipWords, WhiteSpaceOfAnyKindSeparates) {
  EXPECT_THAT(words(" a\u3000b\u00a0c\td\n"), ElementsAre("a", "b", "c", "d"));
}

}  // namespace
}  // namespace luna::worker
