#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/types/tensor.h"

namespace luna::worker {

/// One tensor of a safetensors file. [begin, end) counts from the first byte after the header.
struct SafetensorsEntry {
  std::string name;
  TensorSpec spec;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry>
      entries;  ///< in the order of the bytes; they follow each other without gaps
  std::map<std::string, std::string> metadata;
};

/// Limits beyond the format's own; a header that breaks one is refused.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr std::size_t kMaxSafetensorsTensors = 200'000;
inline constexpr std::size_t kMaxSafetensorsName = 4096;

/// Reads the JSON header of a safetensors file whose data part has `data_bytes` bytes. Everything
/// that the format promises is checked: types, extents, lengths, offsets in order without holes or
/// overlap, and the total. INVALID_ARGUMENT for a header that is not safetensors', UNIMPLEMENTED
/// for an element type that is not served, DATA_LOSS when header and data do not agree.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, std::uint64_t data_bytes);

}  // namespace luna::worker
