#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include "daemon/worker/tokenizers/clip_tokenizer.h"

namespace luna::worker {

/// CLIP's list of merges: $LUNA_CLIP_VOCABULARY, else where ./dev setup puts it.
inline std::string clip_vocabulary_path() {
  if (const char* path = std::getenv("LUNA_CLIP_VOCABULARY")) return path;
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "" : home) + "/.cache/luna/clip_merges.txt";
}

/// Loaded once a program; a failed Result, naming the file, where set-up has not fetched it.
inline const Result<std::unique_ptr<ClipTokenizer>>& clip_tokenizer() {
  static const auto kTokenizer = ClipTokenizer::load(clip_vocabulary_path());
  return kTokenizer;
}

}  // namespace luna::worker
