#include "common/prompt/embedding_reference.h"

#include "common/prompt/unicode.h"

namespace luna {
namespace {

constexpr std::string_view kMark = "embedding:";

/// The words of a text, between white space of any kind.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = std::string_view::npos;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    if (!is_space(c.value)) {
      if (begin == std::string_view::npos) begin = at;
    } else if (begin != std::string_view::npos) {
      words.push_back(text.substr(begin, at - begin));
      begin = std::string_view::npos;
    }
    at += c.length;
  }
  if (begin != std::string_view::npos) words.push_back(text.substr(begin));
  return words;
}

PromptPiece reference(std::string_view text) {
  PromptPiece piece;
  piece.is_embedding = true;
  const std::vector<std::string_view> words = words_of(text);
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (i > 1) piece.text += ' ';
    piece.text += words[i];
  }
  if (words.empty()) return piece;
  const std::size_t cut = words[0].find_first_of("<[");
  piece.name = std::string(words[0].substr(0, cut));
  if (cut != std::string_view::npos) {
    piece.text = std::string(words[0].substr(cut)) + (piece.text.empty() ? "" : " ") + piece.text;
  }
  return piece;
}

/// Where the pieces begin; the first at 0.
std::vector<std::size_t> beginnings(std::string_view text) {
  std::vector<std::size_t> begins = {0};
  bool after_space = false;
  for (std::size_t at = 0; at < text.size();) {
    if (after_space && text.substr(at).starts_with(kMark)) {
      begins.push_back(at);
      at += kMark.size();
      after_space = false;
      continue;
    }
    const CodePoint c = code_point_at(text, at);
    after_space = is_space(c.value);
    at += c.length;
  }
  return begins;
}

}  // namespace

std::vector<PromptPiece> split_embeddings(std::string_view text) {
  std::vector<PromptPiece> pieces;
  const std::vector<std::size_t> begins = beginnings(text);
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::size_t end = i + 1 < begins.size() ? begins[i + 1] : text.size();
    const std::string_view piece = text.substr(begins[i], end - begins[i]);
    if (piece.starts_with(kMark)) {
      pieces.push_back(reference(piece.substr(kMark.size())));
    } else if (!piece.empty()) {
      pieces.push_back({false, std::string(piece), {}});
    }
  }
  return pieces;
}

bool strip_name_commas(std::string& name, std::string& rest) {
  const std::size_t first = name.find_first_not_of(',');
  const std::size_t last = name.find_last_not_of(',');
  const std::string stripped =
      first == std::string::npos ? std::string() : name.substr(first, last - first + 1);
  if (stripped.size() == name.size()) return false;
  rest = name.substr(stripped.size()) + " " + rest;
  name = stripped;
  return true;
}

}  // namespace luna
