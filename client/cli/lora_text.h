#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/types/model.h"

namespace luna::client {

/// "FILE", "FILE:MODEL" or "FILE:MODEL:CLIP", as --lora takes it: strengths are 1 where they are
/// not said, the text encoder's as the model's. A colon in the file's name is none of these when no
/// number follows it. INVALID_ARGUMENT for an empty name or a strength that is not finite.
Result<LoraRef> lora_from_text(const std::string& text);

/// A prompt, and the adapters that it names.
struct PromptWithLoras {
  std::string prompt;  ///< without the tags
  std::vector<LoraRef> loras;
};
/// Takes "<lora:NAME:MODEL>" and "<lora:NAME:MODEL:CLIP>" out of a prompt, as other programs write
/// them: NAME is a file without its ending. INVALID_ARGUMENT for a tag that cannot be read.
Result<PromptWithLoras> take_lora_tags(const std::string& prompt);

}  // namespace luna::client
