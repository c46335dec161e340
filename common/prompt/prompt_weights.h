#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// Longer prompts are refused.
inline constexpr std::size_t kMaxPromptBytes = std::size_t{64} << 10;

/// A stretch of a prompt that carries one weight; escapes are resolved.
struct WeightedText {
  std::string text;
  double weight = 1.0;
  bool operator==(const WeightedText&) const = default;
};

/// ComfyUI's prompt weights (comfy/sd1_clip.py: escape_important, token_weights): "(x)" multiplies
/// the weight around it by 1.1, "(x:1.3)" replaces it, "\(" and "\)" are plain brackets, brackets
/// without a partner are text, except that a group left open at the end of its surroundings still
/// counts when its last character is ")". Whatever Python's float() reads is a weight, "nan" and
/// "inf" too.
///
/// Pieces come in the order of the text; an empty prompt has none. Linear in the length, no
/// recursion. INVALID_ARGUMENT above kMaxPromptBytes or when the text is not UTF-8.
Result<std::vector<WeightedText>> parse_prompt_weights(std::string_view prompt);

}  // namespace luna
