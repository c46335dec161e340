#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "common/base/status.h"
#include "daemon/worker/formats/safetensors_header.h"

/// Input: four bytes of the data part's size, then the header. Whatever is accepted must tile the
/// data.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint32_t data_bytes = 0;
  if (size < sizeof(data_bytes)) return 0;
  std::memcpy(&data_bytes, data, sizeof(data_bytes));
  const std::string_view json(reinterpret_cast<const char*>(data) + sizeof(data_bytes),
                              size - sizeof(data_bytes));
  const auto header = luna::worker::parse_safetensors_header(json, data_bytes);
  if (!header.ok()) return 0;
  std::uint64_t end = 0;
  for (const luna::worker::SafetensorsEntry& entry : header->entries) {
    if (entry.begin != end || entry.end - entry.begin != entry.spec.byte_size())
      luna::die("an accepted tensor does not begin where the one before ends, or has another size");
    end = entry.end;
  }
  if (end != data_bytes) luna::die("the accepted tensors do not fill the data part");
  return 0;
}
