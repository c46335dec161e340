#include "daemon/worker/weights/embedding_file.h"

#include <string_view>

#include <ATen/ATen.h>

#include "daemon/worker/formats/pickle.h"
#include "daemon/worker/formats/safetensors_file.h"
#include "daemon/worker/ops/scalar_types.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMostRows = 4096;
constexpr std::string_view kBundle = "bundle_emb.";

using Entries = std::vector<const SafetensorsEntry*>;

Entries bundled(const SafetensorsHeader& header, std::string_view suffix) {
  Entries found;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.name.starts_with(kBundle) && entry.name.ends_with(suffix)) found.push_back(&entry);
  }
  return found;
}

Entries named(const SafetensorsHeader& header, std::string_view name) {
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.name == name) return {&entry};
  }
  return {};
}

Entries choose(const SafetensorsHeader& header, const std::string& key) {
  Entries found = named(header, key);
  if (found.empty()) found = bundled(header, ".string_to_param.*");
  if (found.empty()) found = bundled(header, "." + key);
  if (found.empty()) found = named(header, "emb_params");
  if (found.empty() && !header.entries.empty()) found = {&header.entries.front()};
  return found;
}

Status check_shape(const SafetensorsEntry& entry, std::size_t width) {
  const std::vector<std::int64_t>& shape = entry.spec.shape;
  const bool rows = shape.size() == 1 || shape.size() == 2;
  if (!rows || shape.back() != static_cast<std::int64_t>(width)) {
    return error(StatusCode::kInvalidArgument, "tensor '{}' is {}; expected rows of {} numbers",
                 entry.name, entry.spec.to_string(), width);
  }
  if (shape.size() == 2 && (shape[0] < 1 || shape[0] > static_cast<std::int64_t>(kMostRows))) {
    return error(StatusCode::kInvalidArgument, "tensor '{}' has {} rows; expected 1 to {}",
                 entry.name, shape[0], kMostRows);
  }
  return {};
}

}  // namespace

Result<std::vector<std::vector<float>>> read_embedding(const std::string& path, std::size_t width,
                                                       const std::string& key) {
  LUNA_RETURN_IF_ERROR(refuse_pickle(path, "embeddings"));
  LUNA_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(path));
  const Entries entries = choose(file.header(), key);
  if (entries.empty()) return error(StatusCode::kInvalidArgument, "{}: holds no tensor", path);
  std::size_t total = 0;
  for (const SafetensorsEntry* entry : entries) {
    LUNA_RETURN_IF_ERROR(check_shape(*entry, width).with_context(path));
    total += static_cast<std::size_t>(entry->spec.numel()) / width;
  }
  if (total > kMostRows) {
    return error(StatusCode::kInvalidArgument, "{}: {} rows in all; expected at most {}", path,
                 total, kMostRows);
  }

  std::vector<std::vector<float>> rows;
  for (const SafetensorsEntry* entry : entries) {
    const at::Tensor raw =
        at::empty(entry->spec.shape, at::TensorOptions().dtype(scalar_type_of(entry->spec.dtype)));
    LUNA_RETURN_IF_ERROR(
        file.read(*entry, 0, {static_cast<std::byte*>(raw.data_ptr()), raw.nbytes()}));
    const at::Tensor values = raw.to(at::kFloat);
    const float* from = values.const_data_ptr<float>();
    for (std::int64_t row = 0; row < values.numel() / static_cast<std::int64_t>(width);
         ++row, from += width)
      rows.emplace_back(from, from + width);
  }
  LUNA_RETURN_IF_ERROR(file.check_unchanged());
  return rows;
}

}  // namespace luna::worker
