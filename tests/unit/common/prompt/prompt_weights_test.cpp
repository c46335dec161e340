#include "common/prompt/prompt_weights.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/prompt/python_float.h"
#include "tests/support/temp_dir.h"

namespace luna {
namespace {

using Pieces = std::vector<WeightedText>;

Pieces parse(std::string_view prompt) { return parse_prompt_weights(prompt).value(); }

double number(const nlohmann::json& value) {
  return value.is_string() ? *python_float(value.get<std::string>()) : value.get<double>();
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

nlohmann::json recorded() {
  return nlohmann::json::parse(
      support::read_file(LUNA_SOURCE_DIR "/tests/parity/fixtures/prompt_weights.json"));
}

TEST(PromptWeights, AgreeWithTheReferenceOnEveryRecordedPrompt) {
  std::size_t seen = 0;
  for (const auto& entry : recorded()) {
    if (!entry.contains("prompt")) continue;
    ++seen;
    const std::string prompt = entry["prompt"];
    const Pieces pieces = parse(prompt);
    const auto& expected = entry["segments"];
    ASSERT_EQ(pieces.size(), expected.size()) << prompt;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      EXPECT_EQ(pieces[i].text, expected[i][0].get<std::string>()) << prompt;
      EXPECT_TRUE(same(pieces[i].weight, number(expected[i][1])))
          << prompt << ": " << pieces[i].weight << " against " << expected[i][1];
    }
  }
  EXPECT_GT(seen, 500u);
}

TEST(PromptWeights, PlainTextHasWeightOne) {
  EXPECT_EQ(parse("a cat"), (Pieces{{"a cat", 1.0}}));
  EXPECT_EQ(parse(""), Pieces{});
}

TEST(PromptWeights, BracketsMultiplyByElevenTenthsEach) {
  EXPECT_EQ(parse("a (b) ((c))"), (Pieces{{"a ", 1.0}, {"b", 1.1}, {" ", 1.0}, {"c", 1.1 * 1.1}}));
}

TEST(PromptWeights, AWrittenWeightReplacesTheOnesAround) {
  EXPECT_EQ(parse("((x:1.5))"), (Pieces{{"x", 1.5}}));
  EXPECT_EQ(parse("(a (b:0.5) c:1.3)"), (Pieces{{"a ", 1.3}, {"b", 0.5}, {" c", 1.3}}));
}

TEST(PromptWeights, EscapedBracketsAreText) {
  EXPECT_EQ(parse(R"(\(a\) (b\):1.2))"), (Pieces{{"(a) ", 1.0}, {"b)", 1.2}}));
}

TEST(PromptWeights, WhatIsNotANumberStaysText) {
  EXPECT_EQ(parse("(a:b)"), (Pieces{{"a:b", 1.1}}));
  EXPECT_EQ(parse("(:1.2)"), (Pieces{{":1.2", 1.1}}));
}

TEST(PromptWeights, BracketsWithoutPartnerAreText) {
  EXPECT_EQ(parse("a) b"), (Pieces{{"a) b", 1.0}}));
  EXPECT_EQ(parse("a (b"), (Pieces{{"a ", 1.0}, {"(b", 1.0}}));
  EXPECT_EQ(parse("((a)"), (Pieces{{"(a", 1.1}}));
}

TEST(PromptWeights, TooLongOrNotUtf8IsRefusedWithTheNumbers) {
  const auto longest = parse_prompt_weights(std::string(kMaxPromptBytes + 1, 'a'));
  EXPECT_EQ(longest.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(longest.status().message().find("65537"), std::string::npos);
  EXPECT_EQ(parse_prompt_weights(std::string(1 << 20, '(')).status().code(),
            StatusCode::kInvalidArgument);
  for (const char* text : {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf5\x80\x80\x80"})
    EXPECT_EQ(parse_prompt_weights(text).status().code(), StatusCode::kInvalidArgument) << text;
}

TEST(PromptWeights, DeepNestingNeedsNeitherStackNorQuadraticTime) {
  const std::size_t half = kMaxPromptBytes / 2;
  const std::string open(half, '('), close(half, ')');
  EXPECT_EQ(parse(open + close), Pieces{});
  EXPECT_EQ(parse(open).size(), 1u);
  EXPECT_EQ(parse(close).size(), 1u);
  EXPECT_EQ(parse(open + close.substr(1)).at(0).text, "(");
  EXPECT_EQ(parse(open.substr(3) + "x:2" + close.substr(3)).at(0).text, "x");
  std::string weights;
  for (std::size_t i = 0; i < half / 4; ++i) weights += "(a:";
  EXPECT_EQ(parse(weights + std::string(half / 8, ')')).size(), half / 8 + 1);
}

TEST(PythonFloat, AgreesWithPythonOnEveryRecordedText) {
  std::size_t seen = 0;
  for (const auto& entry : recorded()) {
    if (!entry.contains("float")) continue;
    ++seen;
    const auto value = python_float(entry["float"].get<std::string>());
    ASSERT_EQ(value.has_value(), !entry["value"].is_null()) << entry;
    if (!value) continue;
    // JSON has no nan and inf; those stand as texts.
    const auto& expected = entry["value"];
    if (expected == "nan") {
      EXPECT_TRUE(std::isnan(*value)) << entry;
    } else if (expected.is_string()) {
      EXPECT_EQ(*value, expected == "inf" ? INFINITY : -INFINITY) << entry;
    } else {
      EXPECT_EQ(*value, expected.get<double>()) << entry;
    }
  }
  EXPECT_GT(seen, 50u);
}

}  // namespace
}  // namespace luna
