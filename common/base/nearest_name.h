#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace luna {

/// Letters to insert, delete or change (Levenshtein), case ignored. Only the first 256 letters
/// count.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Up to `count` of `candidates`, nearest first; those that resemble `wanted` in nothing are left
/// out. A candidate that contains `wanted` (or the reverse) always resembles it.
std::vector<std::string> nearest_names(std::string_view wanted,
                                       const std::vector<std::string>& candidates,
                                       std::size_t count);

/// "; did you mean 'a' or 'b'?", or nothing when no name is near.
std::string did_you_mean(std::string_view wanted, const std::vector<std::string>& candidates);

}  // namespace luna
