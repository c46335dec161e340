#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luna {

/// A stretch of a prompt's text: plain, or a reference to a textual-inversion embedding.
struct PromptPiece {
  bool is_embedding = false;
  std::string text;  ///< plain text; for a reference, what follows the name
  std::string name;  ///< of the embedding; empty when the reference names none
  bool operator==(const PromptPiece&) const = default;
};

/// Splits a text (with its weight already taken off) at every "embedding:" that begins it or
/// follows white space (comfy/sd1_clip.py: SDTokenizer.tokenize_with_weights, _try_get_embedding).
/// The name ends at white space, "<" or "[". Empty pieces are left out.
std::vector<PromptPiece> split_embeddings(std::string_view text);

/// The other name to try when nothing bears `name`: without the commas at both ends. `rest` becomes
/// what follows it in the text then. False when there are no such commas.
bool strip_name_commas(std::string& name, std::string& rest);

}  // namespace luna
