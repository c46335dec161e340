#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/status.h"

namespace luna::worker {

/// CLIP's byte-level byte-pair encoding: a word's bytes are symbols, the last one marked as a
/// word's end, and the pair of neighbours that stands first in the list of merges is joined until
/// none is left. Immutable.
class BytePairEncoding {
 public:
  /// From the list alone: a heading, then one merge a line. The vocabulary follows from it: 256
  /// bytes, 256 bytes that end a word, one entry a merge, the start and the end token. CLIP uses
  /// the first 48894 merges; lines beyond are ignored, and a shorter list is INVALID_ARGUMENT.
  static Result<BytePairEncoding> from_merges(std::string_view merges);
  /// From a list of any length and the ids that vocab.json gives. INVALID_ARGUMENT when a symbol
  /// has no id.
  static Result<BytePairEncoding> from_vocabulary(std::string_view vocabulary_json,
                                                  std::string_view merges);

  /// Appends the ids of one word. O(n log n).
  void encode_word(std::string_view word, std::vector<std::int64_t>& ids) const;

  std::int64_t start_id() const { return start_id_; }
  std::int64_t end_id() const { return end_id_; }

 private:
  struct Merge {
    std::uint32_t rank = 0;
    std::uint32_t symbol = 0;
  };
  using Ids = std::unordered_map<std::string, std::uint32_t>;

  BytePairEncoding() = default;
  Status add_merges(std::string_view merges, const Ids& ids, std::size_t most);
  const Merge* find(std::uint32_t left, std::uint32_t right) const;

  std::array<std::uint32_t, 256> byte_{}, last_byte_{};
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::int64_t start_id_ = 0, end_id_ = 0;
};

}  // namespace luna::worker
