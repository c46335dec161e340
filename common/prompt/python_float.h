#pragma once

#include <optional>
#include <string_view>

namespace luna {

/// What Python's float(text) gives, nullopt where it raises ValueError: surrounding white space, a
/// sign, "inf", "infinity" and "nan" in any case, single underscores between digits, decimal digits
/// of every script, exponents, rounding to the nearest double; too large becomes infinity. `text`
/// is UTF-8; bytes that are not are refused as any other letter is. Linear in the length.
std::optional<double> python_float(std::string_view text);

}  // namespace luna
