#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/types/job.h"

namespace luna::worker {

/// Finds a textual-inversion embedding by name: its vectors, row by row; nullopt when there is
/// none.
using EmbeddingLookup =
    std::function<std::optional<std::vector<std::vector<float>>>(std::string_view name)>;

/// CLIP's byte-pair encoding with ComfyUI's prompt syntax, weights and chunking
/// (comfyui-semantics.md 2.2, 2.3; reference: comfy/sd1_clip.py SDTokenizer, transformers
/// CLIPTokenizer without ftfy).
class ClipTokenizer {
 public:
  /// `merges_path`: CLIP's bpe_simple_vocab_16e6 list as text (its vocabulary follows from the
  /// merges), or a folder with vocab.json and merges.txt. NOT_FOUND, INVALID_ARGUMENT.
  static Result<std::unique_ptr<ClipTokenizer>> load(const std::string& merges_path);
  ~ClipTokenizer();

  /// Plain ids of a text, without start and end tokens.
  std::vector<std::int64_t> encode(std::string_view text) const;

  struct Options {
    std::int64_t pad = 49407;  ///< CLIP-L pads with the end token, CLIP-G with 0
    std::size_t max_length = 77;
    EmbeddingLookup embeddings;
  };
  struct Tokenized {
    std::vector<std::vector<Token>> chunks;  ///< each exactly max_length long
    std::vector<std::string> warnings;       ///< embeddings not found
  };
  /// INVALID_ARGUMENT for a text that is not UTF-8 or longer than 64 KiB.
  Result<Tokenized> tokenize(std::string_view text, const Options& options) const;

 private:
  ClipTokenizer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace luna::worker
