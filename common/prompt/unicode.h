#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace luna {

/// The code point that begins at text[at] and its length; at < text.size(). Bytes that are not
/// UTF-8 are code point 0xFFFD with length 1.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 1;
};
CodePoint code_point_at(std::string_view text, std::size_t at);

bool is_valid_utf8(std::string_view text);

/// Python's str.isspace() of one character.
bool is_space(char32_t c);
/// 0..9 for a decimal digit of any script (Unicode category Nd, version 14).
std::optional<int> decimal_digit(char32_t c);

}  // namespace luna
