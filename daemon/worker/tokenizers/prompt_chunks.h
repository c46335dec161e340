#pragma once

#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "common/types/job.h"

namespace luna::worker {

struct ChunkRules {
  std::int64_t start = 49406;
  std::int64_t end = 49407;
  std::int64_t pad = 49407;
  std::size_t max_length = 77;      ///< of a chunk, start and end token included
  std::size_t max_word_length = 8;  ///< a longer group may be cut in two
};

/// Lays groups of tokens into chunks of exactly max_length (comfy/sd1_clip.py:
/// SDTokenizer.tokenize_with_weights): a group that does not fit any more is cut when it has
/// max_word_length tokens or more, else it begins the next chunk. At least one chunk comes out.
/// INVALID_ARGUMENT when max_length leaves no room for a group that must not be cut.
Result<std::vector<std::vector<Token>>> chunk_prompt(const std::vector<std::vector<Token>>& groups,
                                                     const ChunkRules& rules);

}  // namespace luna::worker
