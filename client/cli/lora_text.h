#pragma once

#include <string>
#include <vector>

#include "client/include/luna/client/lora_draw.h"

namespace luna::client {

/// "FILE", "FILE:MODEL" or "FILE:MODEL:CLIP", as --lora takes it: strengths are 1 where they are
/// not said, the text encoder's as the model's. A strength is a number, "0.2..0.9" (drawn for each
/// picture) or "0.1,0.5,0.9" (one a picture). Strengths of blocks may follow:
/// "FILE:0.8@input_blocks.4=0.5,middle_block=0". A colon or @ in the file's name is none of these
/// when nothing of that kind follows it. INVALID_ARGUMENT for an empty name or a strength that is
/// not finite.
Result<LoraDraw> lora_from_text(const std::string& text);
/// The text that lora_from_text() reads as this one.
std::string lora_in_text(const LoraRef& lora);

/// A prompt, and the adapters that it names.
struct PromptWithLoras {
  std::string prompt;  ///< without the tags
  std::vector<LoraDraw> loras;
};
/// Takes "<lora:NAME:MODEL>" and "<lora:NAME:MODEL:CLIP>" out of a prompt, as other programs write
/// them: NAME is a file without its ending. INVALID_ARGUMENT for a tag that cannot be read.
Result<PromptWithLoras> take_lora_tags(const std::string& prompt);

}  // namespace luna::client
