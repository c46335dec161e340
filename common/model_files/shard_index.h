#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// Which file each tensor of a sharded model lies in: Hugging Face's "x.safetensors.index.json",
/// its "weight_map". What the index does not name is no part of the model.
struct ShardIndex {
  std::map<std::string, std::string> shard_of;  ///< tensor -> path below the index's folder

  /// Each shard once, in the order of their names.
  std::vector<std::string> shards() const;
};

/// Limits beyond the format's own; an index that breaks one is refused.
inline constexpr std::size_t kMaxShardIndexBytes = std::size_t{32} << 20;
inline constexpr std::size_t kMaxShards = 256;
inline constexpr std::size_t kMaxShardIndexTensors = 200'000;
inline constexpr std::size_t kMaxShardIndexName = 4096;

/// INVALID_ARGUMENT for what is no such index: not JSON, no weight_map, names that are empty, too
/// long or stand there twice, a shard that is no safetensors file below the index's folder, too
/// many of anything; says which.
Result<ShardIndex> parse_shard_index(std::string_view json);

/// True of the name of such an index: "...safetensors.index.json", or with diffusers' variant
/// "....safetensors.index.fp16.json".
bool names_shard_index(std::string_view path);

}  // namespace luna
