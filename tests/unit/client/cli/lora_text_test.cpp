#include "client/cli/lora_text.h"

#include <gmock/gmock.h>

namespace luna::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LoraText, StrengthsThatAreNotSaidAreOneAndTheTextEncodersIsTheModels) {
  EXPECT_EQ(*lora_from_text("a.safetensors"), (LoraRef{"a.safetensors", 1, 1}));
  EXPECT_EQ(*lora_from_text("a.safetensors:0.8"), (LoraRef{"a.safetensors", 0.8, 0.8}));
  EXPECT_EQ(*lora_from_text("a.safetensors:0.8:-0.5"), (LoraRef{"a.safetensors", 0.8, -0.5}));
  EXPECT_EQ(*lora_from_text("a.safetensors:0:1"), (LoraRef{"a.safetensors", 0, 1}));
}

TEST(LoraText, AColonInANameIsPartOfIt) {
  EXPECT_EQ(*lora_from_text("C:/loras/a.safetensors"), (LoraRef{"C:/loras/a.safetensors", 1, 1}));
  EXPECT_EQ(*lora_from_text("x:1:2:3"), (LoraRef{"x:1", 2, 3}));
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
  EXPECT_THAT(taken->loras, ElementsAre(LoraRef{"pixel.safetensors", 0.8, 0.8},
                                        LoraRef{"sub/pencil.safetensors", 1, 0.5}));
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
