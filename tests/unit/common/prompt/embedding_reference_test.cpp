#include "common/prompt/embedding_reference.h"

#include <gtest/gtest.h>

namespace luna {
namespace {

using Pieces = std::vector<PromptPiece>;

PromptPiece plain(std::string text) { return {false, std::move(text), {}}; }
PromptPiece reference(std::string name, std::string rest = {}) {
  return {true, std::move(rest), std::move(name)};
}

TEST(SplitEmbeddings, TextWithoutReferencesIsOnePiece) {
  EXPECT_EQ(split_embeddings("a cat"), (Pieces{plain("a cat")}));
  EXPECT_EQ(split_embeddings(""), Pieces{});
}

TEST(SplitEmbeddings, AReferenceBeginsTheTextOrFollowsWhiteSpace) {
  EXPECT_EQ(split_embeddings("embedding:x"), (Pieces{reference("x")}));
  EXPECT_EQ(split_embeddings("a embedding:x"), (Pieces{plain("a "), reference("x")}));
  EXPECT_EQ(split_embeddings("a\u3000embedding:x"), (Pieces{plain("a\u3000"), reference("x")}));
  EXPECT_EQ(split_embeddings("aembedding:x"), (Pieces{plain("aembedding:x")}));
}

TEST(SplitEmbeddings, WhatFollowsTheNameIsKept) {
  EXPECT_EQ(split_embeddings("embedding:x and  more embedding:y"),
            (Pieces{reference("x", "and more"), reference("y")}));
}

TEST(SplitEmbeddings, TheNameEndsAtAngleAndSquareBrackets) {
  EXPECT_EQ(split_embeddings("embedding:x<b> c"), (Pieces{reference("x", "<b> c")}));
  EXPECT_EQ(split_embeddings("embedding:x[b]"), (Pieces{reference("x", "[b]")}));
}

TEST(SplitEmbeddings, AReferenceMayBeWithoutName) {
  EXPECT_EQ(split_embeddings("embedding: "), (Pieces{reference("")}));
  EXPECT_EQ(split_embeddings("embedding:embedding:"), (Pieces{reference("embedding:")}));
}

TEST(StripNameCommas, GivesTheCommasBackToTheText) {
  std::string name = "x,", rest = "more";
  EXPECT_TRUE(strip_name_commas(name, rest));
  EXPECT_EQ(name, "x");
  EXPECT_EQ(rest, ", more");
  EXPECT_FALSE(strip_name_commas(name, rest));
  name = ",,";
  EXPECT_TRUE(strip_name_commas(name, rest));
  EXPECT_EQ(name, "");
}

}  // namespace
}  // namespace luna
