#include "daemon/worker/tokenizers/prompt_chunks.h"

#include <algorithm>
#include <span>

namespace luna::worker {

Result<std::vector<std::vector<Token>>> chunk_prompt(const std::vector<std::vector<Token>>& groups,
                                                     const ChunkRules& rules) {
  if (rules.max_length < rules.max_word_length + 2) {
    return error(StatusCode::kInvalidArgument, "chunks of {} tokens; expected {} or more",
                 rules.max_length, rules.max_word_length + 2);
  }
  const std::size_t room = rules.max_length - 1;
  std::vector<std::vector<Token>> chunks;
  const auto open = [&] { chunks.push_back({Token{rules.start, 1.0f, {}}}); };
  const auto close = [&] {
    chunks.back().push_back({rules.end, 1.0f, {}});
    chunks.back().resize(rules.max_length, Token{rules.pad, 1.0f, {}});
  };
  open();
  for (const std::vector<Token>& group : groups) {
    const bool may_be_cut = group.size() >= rules.max_word_length;
    std::span<const Token> left(group);
    while (!left.empty()) {
      const std::size_t free = room - chunks.back().size();
      const bool fits = left.size() <= free;
      const std::size_t taken = fits ? left.size() : may_be_cut ? free : 0;
      chunks.back().insert(chunks.back().end(), left.begin(),
                           left.begin() + static_cast<std::ptrdiff_t>(taken));
      left = left.subspan(taken);
      if (!fits) {
        close();
        open();
      }
    }
  }
  close();
  return chunks;
}

}  // namespace luna::worker
