#include "daemon/worker/tokenizers/clip_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <unordered_map>

#include "common/prompt/embedding_reference.h"
#include "common/prompt/prompt_weights.h"
#include "common/prompt/unicode.h"
#include "daemon/worker/tokenizers/byte_pair_encoding.h"
#include "daemon/worker/tokenizers/clip_words.h"
#include "daemon/worker/tokenizers/prompt_chunks.h"

namespace luna::worker {
namespace {

constexpr std::uintmax_t kLargestFile = std::uintmax_t{64} << 20;
constexpr std::size_t kCachedWords = 16384;
constexpr std::size_t kLongestCachedWord = 64;
/// Vectors of embeddings in one prompt: a name of a few bytes may stand for many.
constexpr std::size_t kMostEmbeddingRows = 4096;

Result<std::string> read_text(const std::filesystem::path& path) {
  std::error_code failure;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  if (failure)
    return error(StatusCode::kNotFound, "CLIP's vocabulary: {}: {}", path.string(),
                 failure.message());
  if (size > kLargestFile) {
    return error(StatusCode::kInvalidArgument, "{}: {} bytes; a list of merges has at most {}",
                 path.string(), size, kLargestFile);
  }
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in)
    return error(StatusCode::kNotFound, "CLIP's vocabulary: {} cannot be read", path.string());
  return text;
}

Result<BytePairEncoding> read_encoding(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    LUNA_ASSIGN_OR_RETURN(const std::string vocabulary, read_text(path / "vocab.json"));
    LUNA_ASSIGN_OR_RETURN(const std::string merges, read_text(path / "merges.txt"));
    return BytePairEncoding::from_vocabulary(vocabulary, merges);
  }
  LUNA_ASSIGN_OR_RETURN(const std::string merges, read_text(path));
  return BytePairEncoding::from_merges(merges);
}

}  // namespace

struct ClipTokenizer::Impl {
  explicit Impl(BytePairEncoding e) : encoding(std::move(e)) {}

  void append_word(const std::string& word, std::vector<std::int64_t>& ids) {
    if (word.size() > kLongestCachedWord) {
      encoding.encode_word(word, ids);
      return;
    }
    {
      const std::scoped_lock lock(mutex);
      if (const auto known = words.find(word); known != words.end()) {
        ids.insert(ids.end(), known->second.begin(), known->second.end());
        return;
      }
    }
    std::vector<std::int64_t> fresh;
    encoding.encode_word(word, fresh);
    ids.insert(ids.end(), fresh.begin(), fresh.end());
    const std::scoped_lock lock(mutex);
    if (words.size() >= kCachedWords) words.clear();
    words.emplace(word, std::move(fresh));
  }

  std::vector<std::int64_t> encode(std::string_view text) {
    std::vector<std::int64_t> ids;
    for (const ClipWord& word : clip_words(text)) {
      switch (word.kind) {
        case ClipWord::Kind::kStart:
          ids.push_back(encoding.start_id());
          break;
        case ClipWord::Kind::kEnd:
          ids.push_back(encoding.end_id());
          break;
        case ClipWord::Kind::kText:
          append_word(word.text, ids);
          break;
      }
    }
    return ids;
  }

  const BytePairEncoding encoding;
  std::mutex mutex;
  std::unordered_map<std::string, std::vector<std::int64_t>> words;
};

namespace {

/// Collects the groups of one prompt.
class Groups {
 public:
  explicit Groups(const EmbeddingLookup& lookup) : lookup_(lookup) {}

  void add_ids(const std::vector<std::int64_t>& ids, float weight) {
    std::vector<Token> group;
    group.reserve(ids.size());
    for (const std::int64_t id : ids) group.push_back({id, weight, {}});
    groups_.push_back(std::move(group));
  }

  /// Adds the embedding's vectors, or a warning; gives the text that is left to be tokenized.
  Result<std::string> add_embedding(const PromptPiece& piece, float weight) {
    std::string name = piece.name, rest = piece.text;
    auto rows = name.empty() ? std::nullopt : lookup_(name);
    if (!rows && strip_name_commas(name, rest) && !name.empty()) rows = lookup_(name);
    if (!rows) {
      warnings_.push_back(fmt::format("embedding '{}' does not exist and was ignored", piece.name));
      return rest;
    }
    rows_ += rows->size();
    if (rows_ > kMostEmbeddingRows) {
      return error(StatusCode::kInvalidArgument,
                   "the prompt names embeddings of more than {} vectors in all",
                   kMostEmbeddingRows);
    }
    std::vector<Token> group;
    group.reserve(rows->size());
    for (std::vector<float>& row : *rows) group.push_back({0, weight, std::move(row)});
    groups_.push_back(std::move(group));
    return rest;
  }

  const std::vector<std::vector<Token>>& groups() const { return groups_; }
  std::vector<std::string> take_warnings() { return std::move(warnings_); }

 private:
  const EmbeddingLookup& lookup_;
  std::vector<std::vector<Token>> groups_;
  std::vector<std::string> warnings_;
  std::size_t rows_ = 0;
};

}  // namespace

ClipTokenizer::ClipTokenizer() = default;
ClipTokenizer::~ClipTokenizer() = default;

Result<std::unique_ptr<ClipTokenizer>> ClipTokenizer::load(const std::string& merges_path) {
  auto encoding = read_encoding(merges_path);
  if (!encoding.ok()) return encoding.status().with_context(merges_path);
  std::unique_ptr<ClipTokenizer> tokenizer(new ClipTokenizer());
  tokenizer->impl_ = std::make_unique<Impl>(std::move(encoding).value());
  return tokenizer;
}

std::vector<std::int64_t> ClipTokenizer::encode(std::string_view text) const {
  return impl_->encode(text);
}

Result<ClipTokenizer::Tokenized> ClipTokenizer::tokenize(std::string_view text,
                                                         const Options& options) const {
  LUNA_ASSIGN_OR_RETURN(const std::vector<WeightedText> segments, parse_prompt_weights(text));
  Groups groups(options.embeddings);
  for (const WeightedText& segment : segments) {
    const auto weight = static_cast<float>(segment.weight);
    if (!options.embeddings) {
      groups.add_ids(impl_->encode(segment.text), weight);
      continue;
    }
    for (const PromptPiece& piece : split_embeddings(segment.text)) {
      std::string plain = piece.text;
      if (piece.is_embedding) {
        LUNA_ASSIGN_OR_RETURN(plain, groups.add_embedding(piece, weight));
      }
      if (!plain.empty()) groups.add_ids(impl_->encode(plain), weight);
    }
  }
  Tokenized result;
  const ChunkRules rules = {.start = impl_->encoding.start_id(),
                            .end = impl_->encoding.end_id(),
                            .pad = options.pad,
                            .max_length = options.max_length};
  LUNA_ASSIGN_OR_RETURN(result.chunks, chunk_prompt(groups.groups(), rules));
  result.warnings = groups.take_warnings();
  return result;
}

}  // namespace luna::worker
