#pragma once

#include <string>
#include <string_view>

namespace luna::wire {

/// Protobuf's strings are UTF-8: a message with any other bytes is one that the receiver cannot
/// read.
bool is_utf8(std::string_view text);

/// The text, with '?' for each byte that is part of no character.
std::string to_utf8(std::string_view text);

}  // namespace luna::wire
