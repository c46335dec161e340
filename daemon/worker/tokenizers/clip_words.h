#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luna::worker {

/// A word of a text as CLIP cuts it, in UTF-8, or one of its two control tokens written out.
struct ClipWord {
  enum class Kind { kText, kStart, kEnd };
  Kind kind = Kind::kText;
  std::string text;
  bool operator==(const ClipWord&) const = default;
};

/// NFC, lower case, then CLIP's pattern: the contractions 's 't 're 've 'm 'll 'd; runs of letters;
/// single digits; runs of anything else that is not white space. "<|startoftext|>" and
/// "<|endoftext|>", written exactly so, are control tokens wherever they stand (transformers 5:
/// CLIPTokenizer). `text` is valid UTF-8.
std::vector<ClipWord> clip_words(std::string_view text);

}  // namespace luna::worker
