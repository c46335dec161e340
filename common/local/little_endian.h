#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace luna {

static_assert(std::endian::native == std::endian::little,
              "the wire is little-endian, and so are all machines served");

/// Appends the bytes of a number.
template <class T>
  requires std::is_arithmetic_v<T>
void append_little_endian(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// The number at `offset`, which the caller has checked to be there.
template <class T>
  requires std::is_arithmetic_v<T>
T load_little_endian(std::string_view data, std::size_t offset) {
  T value;
  std::memcpy(&value, data.data() + offset, sizeof(value));
  return value;
}

}  // namespace luna
