#include "daemon/worker/tokenizers/byte_pair_encoding.h"

#include <optional>
#include <queue>
#include <tuple>

#include <nlohmann/json.hpp>

namespace luna::worker {
namespace {

constexpr std::size_t kClipMerges = 48894;
constexpr std::size_t kMostMerges = 1'000'000;
constexpr std::string_view kWordEnd = "</w>";
constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";

/// The printable character that stands for each byte in lists of merges (GPT-2's table), as UTF-8,
/// and the order of the bytes in the vocabulary: printable ones first.
struct ByteNames {
  std::array<std::string, 256> names;
  std::array<std::uint8_t, 256> order;
};

std::string utf8(std::uint32_t c) {
  if (c < 0x80) return std::string(1, static_cast<char>(c));
  return {static_cast<char>(0xc0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3f))};
}

ByteNames make_byte_names() {
  const auto printable = [](std::uint32_t b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  ByteNames result;
  std::size_t next = 0;
  for (std::uint32_t b = 0; b < 256; ++b) {
    if (!printable(b)) continue;
    result.names[b] = utf8(b);
    result.order[next++] = static_cast<std::uint8_t>(b);
  }
  std::uint32_t stand_in = 256;
  for (std::uint32_t b = 0; b < 256; ++b) {
    if (printable(b)) continue;
    result.names[b] = utf8(stand_in++);
    result.order[next++] = static_cast<std::uint8_t>(b);
  }
  return result;
}

const ByteNames& byte_names() {
  static const ByteNames kNames = make_byte_names();
  return kNames;
}

struct MergeLine {
  std::string left, right;
};

/// The next merge of the list; skips empty lines and ends the list at the end of the text.
std::optional<Result<MergeLine>> next_merge(std::string_view& text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos) {
      return error(StatusCode::kInvalidArgument,
                   "expected two symbols with a space between, found '{}'", line.substr(0, 80));
    }
    return MergeLine{std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
  }
  return std::nullopt;
}

/// Without the first line when it is a heading.
std::string_view without_heading(std::string_view text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  if (text.substr(0, end).find("#version") == std::string_view::npos) return text;
  return text.substr(std::min(end + 1, text.size()));
}

}  // namespace

Result<BytePairEncoding> BytePairEncoding::from_merges(std::string_view merges) {
  std::unordered_map<std::string, std::uint32_t> ids;
  for (const bool last : {false, true}) {
    for (const std::uint8_t b : byte_names().order) {
      const auto id = static_cast<std::uint32_t>(ids.size());
      ids.emplace(byte_names().names[b] + (last ? std::string(kWordEnd) : ""), id);
    }
  }
  std::string_view rest = without_heading(merges);
  for (std::size_t i = 0; i < kClipMerges; ++i) {
    const auto line = next_merge(rest);
    if (!line) {
      return error(StatusCode::kInvalidArgument, "the list ends after {} merges; CLIP has {}", i,
                   kClipMerges);
    }
    if (!line->ok()) return line->status();
    const auto id = static_cast<std::uint32_t>(512 + i);
    if (!ids.emplace((*line)->left + (*line)->right, id).second) {
      return error(StatusCode::kInvalidArgument, "merge {} makes '{}{}', which is there already", i,
                   (*line)->left, (*line)->right);
    }
  }
  BytePairEncoding encoding;
  encoding.start_id_ = static_cast<std::int64_t>(ids.size());
  encoding.end_id_ = encoding.start_id_ + 1;
  LUNA_RETURN_IF_ERROR(encoding.add_merges(merges, ids, kClipMerges));
  return encoding;
}

Result<BytePairEncoding> BytePairEncoding::from_vocabulary(std::string_view vocabulary_json,
                                                           std::string_view merges) {
  const nlohmann::json vocabulary = nlohmann::json::parse(vocabulary_json, nullptr, false);
  if (!vocabulary.is_object())
    return error(StatusCode::kInvalidArgument, "vocab.json: expected an object of symbols and ids");
  std::unordered_map<std::string, std::uint32_t> ids;
  for (const auto& [symbol, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kMostMerges)
      return error(StatusCode::kInvalidArgument, "vocab.json: '{}' has no id from 0 to {}", symbol,
                   kMostMerges);
    ids.emplace(symbol, id.get<std::uint32_t>());
  }
  BytePairEncoding encoding;
  for (const auto& [name, id] :
       {std::pair(kStart, &encoding.start_id_), {kEnd, &encoding.end_id_}}) {
    const auto found = ids.find(std::string(name));
    if (found == ids.end())
      return error(StatusCode::kInvalidArgument, "vocab.json: '{}' is missing", name);
    *id = found->second;
  }
  LUNA_RETURN_IF_ERROR(encoding.add_merges(merges, ids, kMostMerges));
  return encoding;
}

Status BytePairEncoding::add_merges(std::string_view merges, const Ids& ids, std::size_t most) {
  const auto id_of = [&](const std::string& symbol) -> Result<std::uint32_t> {
    const auto found = ids.find(symbol);
    if (found != ids.end()) return found->second;
    return error(StatusCode::kInvalidArgument, "the vocabulary has no symbol '{}'", symbol);
  };
  for (std::size_t b = 0; b < 256; ++b) {
    LUNA_ASSIGN_OR_RETURN(byte_[b], id_of(byte_names().names[b]));
    LUNA_ASSIGN_OR_RETURN(last_byte_[b], id_of(byte_names().names[b] + std::string(kWordEnd)));
  }
  std::string_view rest = without_heading(merges);
  for (std::size_t rank = 0; rank < most; ++rank) {
    const auto line = next_merge(rest);
    if (!line) break;
    if (!line->ok()) return line->status();
    LUNA_ASSIGN_OR_RETURN(const std::uint32_t left, id_of((*line)->left));
    LUNA_ASSIGN_OR_RETURN(const std::uint32_t right, id_of((*line)->right));
    LUNA_ASSIGN_OR_RETURN(const std::uint32_t joined, id_of((*line)->left + (*line)->right));
    merges_.emplace((std::uint64_t{left} << 32) | right,
                    Merge{static_cast<std::uint32_t>(rank), joined});
  }
  return {};
}

const BytePairEncoding::Merge* BytePairEncoding::find(std::uint32_t left,
                                                      std::uint32_t right) const {
  const auto found = merges_.find((std::uint64_t{left} << 32) | right);
  return found == merges_.end() ? nullptr : &found->second;
}

void BytePairEncoding::encode_word(std::string_view word, std::vector<std::int64_t>& ids) const {
  if (word.empty()) return;
  constexpr std::uint32_t kNone = ~0u;
  const auto size = static_cast<std::uint32_t>(word.size());
  struct Node {
    std::uint32_t symbol, previous, next;
  };
  std::vector<Node> nodes(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<std::uint8_t>(word[i]);
    nodes[i] = {i + 1 == size ? last_byte_[byte] : byte_[byte], i == 0 ? kNone : i - 1,
                i + 1 == size ? kNone : i + 1};
  }

  // Candidates by rank, then place; one whose symbols have changed since is stale.
  struct Candidate {
    std::uint32_t rank, at, left, right, joined;
    bool operator>(const Candidate& other) const {
      return std::tie(rank, at) > std::tie(other.rank, other.at);
    }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto propose = [&](std::uint32_t at) {
    if (at == kNone || nodes[at].next == kNone) return;
    const std::uint32_t left = nodes[at].symbol, right = nodes[nodes[at].next].symbol;
    if (const Merge* merge = find(left, right))
      candidates.push({merge->rank, at, left, right, merge->symbol});
  };
  for (std::uint32_t i = 0; i + 1 < size; ++i) propose(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Node& left = nodes[best.at];
    if (left.symbol != best.left || left.next == kNone || nodes[left.next].symbol != best.right)
      continue;
    nodes[left.next].symbol = kNone;
    left.symbol = best.joined;
    left.next = nodes[left.next].next;
    if (left.next != kNone) nodes[left.next].previous = best.at;
    propose(left.previous);
    propose(best.at);
  }
  for (std::uint32_t i = 0; i != kNone; i = nodes[i].next) ids.push_back(nodes[i].symbol);
}

}  // namespace luna::worker
