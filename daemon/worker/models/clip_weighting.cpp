#include "daemon/worker/models/clip_weighting.h"

#include <algorithm>

namespace luna::worker {

std::vector<Token> empty_chunk(std::size_t length, std::int64_t pad) {
  std::vector<Token> chunk(length);
  for (Token& token : chunk) token.id = pad;
  if (length > 0) chunk[0].id = kClipStart;
  if (length > 1) chunk[1].id = kClipEnd;
  return chunk;
}

bool has_weights(const std::vector<std::vector<Token>>& chunks) {
  return std::any_of(chunks.begin(), chunks.end(), [](const std::vector<Token>& chunk) {
    return std::any_of(chunk.begin(), chunk.end(),
                       [](const Token& token) { return token.weight != 1.0f; });
  });
}

std::int64_t pooled_position(const std::vector<Token>& chunk, std::int64_t pad) {
  std::int64_t counted = 0;
  bool ended = false;
  bool padding_on_the_left = false;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    if (!chunk[i].embedding.empty()) {
      ++counted;
      continue;
    }
    const bool padding = chunk[i].id == pad;
    if (i == 0 && padding) padding_on_the_left = true;
    if (!ended && !(padding_on_the_left && padding)) {
      ++counted;
      padding_on_the_left = false;
      ended = chunk[i].id == kClipEnd;
    }
  }
  return counted > 0 ? counted - 1 : static_cast<std::int64_t>(chunk.size()) - 1;
}

at::Tensor apply_weights(const at::Tensor& z, const std::vector<std::vector<Token>>& chunks) {
  const std::int64_t count = static_cast<std::int64_t>(chunks.size());
  at::Tensor weights = at::ones({count, z.size(1), 1}, at::kFloat);
  auto weight = weights.accessor<float, 3>();
  for (std::int64_t row = 0; row < count; ++row)
    for (std::int64_t i = 0; i < z.size(1); ++i) weight[row][i][0] = chunks[row][i].weight;
  const at::Tensor moved = weights.to(z.device());
  const at::Tensor states = z.narrow(0, 0, count);
  const at::Tensor empty = z.narrow(0, count, 1);
  return at::where(moved == 1.0, states, (states - empty) * moved + empty);
}

}  // namespace luna::worker
