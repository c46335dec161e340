#include "daemon/worker/models/model_shapes.h"

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
