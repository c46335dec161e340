#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "common/base/status.h"
#include "common/model_files/shard_index.h"

/// Input: an index. Whatever is accepted must be within the limits, and every shard below the
/// folder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto index = luna::parse_shard_index({reinterpret_cast<const char*>(data), size});
  if (!index.ok()) {
    if (index.status().message().size() > 1000) luna::die("a message repeats the input");
    return 0;
  }
  if (index->shard_of.empty() || index->shard_of.size() > luna::kMaxShardIndexTensors ||
      index->shards().size() > luna::kMaxShards)
    luna::die("an accepted index has no tensor, or too many of something");
  const std::filesystem::path folder = "/folder";
  for (const auto& [tensor, shard] : index->shard_of) {
    const auto path = (folder / shard).lexically_normal().string();
    if (tensor.empty() || !path.starts_with("/folder/"))
      luna::die("an accepted shard leads out of the folder of its index");
  }
  return 0;
}
