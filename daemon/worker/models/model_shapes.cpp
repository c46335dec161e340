#include "daemon/worker/models/model_shapes.h"

#include <algorithm>
#include <charconv>

namespace luna::worker {

TensorDirectory directory_of(const WeightStore& store) {
  TensorDirectory directory;
  for (const auto& [name, tensor] : store.tensors())
    directory.tensors[name].shape = tensor.sizes().vec();
  directory.metadata = store.metadata();
  return directory;
}

std::int64_t extent(const TensorDirectory& directory, const std::string& name, std::size_t axis) {
  const auto found = directory.tensors.find(name);
  if (found == directory.tensors.end() || axis >= found->second.shape.size()) return 0;
  return found->second.shape[axis];
}

std::int64_t count_indexed(const TensorDirectory& directory, const std::string& stem,
                           const std::string& tail) {
  std::int64_t count = 0;
  while (directory.has(stem + std::to_string(count) + tail)) ++count;
  return count;
}

std::optional<std::pair<std::uint32_t, std::uint32_t>> native_size(
    const TensorDirectory& directory) {
  constexpr std::uint32_t kSmallest = 8, kLargest = 65536;
  const auto found = directory.metadata.find("modelspec.resolution");
  if (found == directory.metadata.end()) return std::nullopt;
  const char* const end = found->second.data() + found->second.size();
  std::uint32_t width = 0, height = 0;
  const auto across = std::from_chars(found->second.data(), end, width);
  if (across.ec != std::errc() || across.ptr == end || *across.ptr != 'x') return std::nullopt;
  const auto down = std::from_chars(across.ptr + 1, end, height);
  if (down.ec != std::errc() || down.ptr != end) return std::nullopt;
  if (std::min(width, height) < kSmallest || std::max(width, height) > kLargest) {
    return std::nullopt;
  }
  return std::pair(width, height);
}

Result<std::optional<std::int64_t>> metadata_number(const TensorDirectory& directory,
                                                    const std::string& key) {
  const auto found = directory.metadata.find(key);
  if (found == directory.metadata.end()) return std::optional<std::int64_t>();
  const std::string& text = found->second;
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number < 1 || number > 65536)
    return error(StatusCode::kInvalidArgument,
                 "metadata '{}' should be a whole number from 1 to 65536, found '{}'", key, text);
  return std::optional<std::int64_t>(number);
}

}  // namespace luna::worker
