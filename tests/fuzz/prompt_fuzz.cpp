#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/status.h"
#include "common/prompt/embedding_reference.h"
#include "common/prompt/prompt_weights.h"
#include "daemon/worker/tokenizers/clip_words.h"
#include "daemon/worker/tokenizers/prompt_chunks.h"

/// Weights, references to embeddings, words and chunks of a prompt, with one token a byte in place
/// of the vocabulary.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view prompt(reinterpret_cast<const char*>(data), size);
  const auto segments = luna::parse_prompt_weights(prompt);
  if (!segments.ok()) return 0;
  std::size_t bytes = 0, tokens = 0;
  std::vector<std::vector<luna::Token>> groups;
  for (const luna::WeightedText& segment : *segments) {
    bytes += segment.text.size();
    for (const luna::PromptPiece& piece : luna::split_embeddings(segment.text)) {
      std::size_t letters = 0;
      for (const auto& word : luna::worker::clip_words(piece.text)) letters += word.text.size();
      groups.emplace_back(letters, luna::Token{7, static_cast<float>(segment.weight), {}});
      tokens += letters;
    }
  }
  if (bytes > size) luna::die("the segments hold more text than the prompt");
  const auto chunks = luna::worker::chunk_prompt(groups, {});
  if (!chunks.ok()) luna::die("the groups could not be chunked");
  std::size_t kept = 0;
  for (const auto& chunk : *chunks) {
    if (chunk.size() != 77) luna::die("a chunk of another length");
    for (const luna::Token& token : chunk) kept += token.id == 7 ? 1 : 0;
  }
  if (kept != tokens) luna::die("tokens were lost");
  return 0;
}
