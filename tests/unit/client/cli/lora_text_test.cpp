#include "client/cli/lora_text.h"

#include <gmock/gmock.h>

namespace luna::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

LoraStrength one(double value) { return {value, value, {}}; }
LoraDraw all(const std::string& path, double model) { return {path, one(model), {}, {}}; }
LoraDraw both(const std::string& path, double model, double clip) {
  return {path, one(model), one(clip), {}};
}

TEST(LoraText, StrengthsThatAreNotSaidAreOneAndTheTextEncodersIsTheModels) {
  EXPECT_EQ(*lora_from_text("a.safetensors"), all("a.safetensors", 1));
  EXPECT_EQ(*lora_from_text("a.safetensors:0.8"), all("a.safetensors", 0.8));
  EXPECT_EQ(*lora_from_text("a.safetensors:0.8:-0.5"), both("a.safetensors", 0.8, -0.5));
  EXPECT_EQ(*lora_from_text("a.safetensors:0:1"), both("a.safetensors", 0, 1));
}

TEST(LoraText, AStrengthMayBeARangeOrAListAndBlocksMayFollow) {
  EXPECT_EQ(lora_from_text("a:0.2..0.9")->model, (LoraStrength{0.2, 0.9, {}}));
  EXPECT_EQ(*lora_from_text("a:-1..1:0.5"), (LoraDraw{"a", {-1, 1, {}}, one(0.5), {}}));
  EXPECT_EQ(lora_from_text("a:0.1,0.5,0.9")->model.each, (std::vector<double>{0.1, 0.5, 0.9}));
  const LoraDraw blocks = *lora_from_text("a:0.8@input_blocks.4=0.5,middle_block=0");
  EXPECT_EQ(blocks, (LoraDraw{"a", one(0.8), {}, {{"input_blocks.4", 0.5}, {"middle_block", 0}}}));
}

TEST(LoraText, AColonOrAnAtInANameIsPartOfIt) {
  EXPECT_EQ(*lora_from_text("C:/loras/a.safetensors"), all("C:/loras/a.safetensors", 1));
  EXPECT_EQ(*lora_from_text("x:1:2:3"), both("x:1", 2, 3));
  EXPECT_EQ(*lora_from_text("me@home.safetensors:0.5"), all("me@home.safetensors", 0.5));
}

TEST(LoraText, WhatIsWrittenIsReadAgain) {
  const LoraRef lora("b@c.safetensors", 0.123456789, 2, {{"middle_block", 0.5}, {"out", 0}});
  const auto read = draw_loras({*lora_from_text(lora_in_text(lora))}, 0, 1);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->front().front(), lora);
}

TEST(LoraText, WhatMakesNoAdapterIsRefusedWithAnExample) {
  for (const char* text : {"", ":0.5", "a:inf", "a:1:nan"}) {
    const auto lora = lora_from_text(text);
    ASSERT_FALSE(lora.ok()) << text;
    EXPECT_THAT(lora.status().message(), HasSubstr("style.safetensors:0.8")) << text;
  }
}

TEST(LoraTags, AreTakenOutOfThePrompt) {
  const auto taken = take_lora_tags("a boat<lora:pixel:0.8>, at sea <lora:sub/pencil:1:0.5>");
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->prompt, "a boat, at sea ");
  EXPECT_THAT(taken->loras,
              ElementsAre(all("pixel.safetensors", 0.8), both("sub/pencil.safetensors", 1, 0.5)));
}

TEST(LoraTags, APromptWithoutTagsStaysAsItIs) {
  for (const char* prompt : {"", "a (red:1.2) boat", "<b>", "<lora:open"}) {
    EXPECT_EQ(take_lora_tags(prompt)->prompt, prompt);
    EXPECT_TRUE(take_lora_tags(prompt)->loras.empty());
  }
  EXPECT_FALSE(take_lora_tags("<lora::1>").ok());
}

}  // namespace
}  // namespace luna::client
