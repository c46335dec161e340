#include "daemon/worker/tokenizers/clip_words.h"

#include <array>
#include <utility>

#include <utf8proc.h>

namespace luna::worker {
namespace {

constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";
constexpr char32_t kReplacement = 0xFFFD;
constexpr char32_t kCapitalIWithDot = 0x130;
constexpr char32_t kDotAbove = 0x307;

/// Bytes that are no UTF-8 become U+FFFD, one for one.
std::u32string decode(std::string_view text) {
  std::u32string out;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t c = 0;
    const auto length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    out.push_back(length > 0 ? static_cast<char32_t>(c) : kReplacement);
    at += length > 0 ? static_cast<std::size_t>(length) : 1;
  }
  return out;
}

void encode(char32_t c, std::string& out) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  out.append(bytes.begin(), bytes.begin() + length);
}

/// Normalization form C.
std::u32string compose(const std::u32string& text) {
  std::string utf8;
  for (const char32_t c : text) encode(c, utf8);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
  const auto size = static_cast<utf8proc_ssize_t>(utf8.size());
  constexpr auto kForm = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto decomposed = utf8proc_decompose(bytes, size, nullptr, 0, kForm);
  if (decomposed < 0) return text;
  std::vector<utf8proc_int32_t> points(static_cast<std::size_t>(decomposed));
  utf8proc_decompose(bytes, size, points.data(), decomposed, kForm);
  const auto composed = utf8proc_normalize_utf32(points.data(), decomposed, kForm);
  return {points.begin(), points.begin() + composed};
}

/// Character by character, without regard to the neighbours; only one letter becomes two.
std::u32string lower_case(const std::u32string& text) {
  std::u32string out;
  for (const char32_t c : text) {
    if (c == kCapitalIWithDot) {
      out.push_back('i');
      out.push_back(kDotAbove);
    } else {
      out.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    }
  }
  return out;
}

enum class Class { kSpace, kLetter, kNumber, kOther };

Class class_of(char32_t c) {
  constexpr char32_t kNextLine = 0x85;
  if ((c >= '\t' && c <= '\r') || c == kNextLine) return Class::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return Class::kSpace;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return Class::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return Class::kNumber;
    default:
      return Class::kOther;
  }
}

/// Cuts a normalised text by CLIP's pattern.
class Scanner {
 public:
  Scanner(std::u32string text, std::vector<ClipWord>& words)
      : text_(std::move(text)), words_(words) {}

  void run() && {
    while (at_ < text_.size()) {
      if (control() || contraction()) continue;
      const Class first = class_of(text_[at_]);
      const std::size_t begin = at_++;
      if (first == Class::kSpace) continue;
      if (first != Class::kNumber) {
        while (at_ < text_.size() && class_of(text_[at_]) == first) ++at_;
      }
      add(begin, at_);
    }
  }

 private:
  bool stands_here(std::string_view ascii) const {
    if (text_.size() - at_ < ascii.size()) return false;
    for (std::size_t i = 0; i < ascii.size(); ++i) {
      if (text_[at_ + i] != static_cast<char32_t>(ascii[i])) return false;
    }
    return true;
  }

  /// A control token that only lower-casing made one is cut off from what follows, but it is text.
  bool control() {
    for (const std::string_view token : {kStart, kEnd}) {
      if (!stands_here(token)) continue;
      const std::size_t end = at_ + token.size();
      add(at_, at_ + 2);
      add(at_ + 2, end - 2);
      add(end - 2, end);
      at_ = end;
      return true;
    }
    return false;
  }

  bool contraction() {
    if (text_[at_] != '\'') return false;
    static constexpr std::array<std::string_view, 7> kEndings = {"'s", "'t",  "'re", "'ve",
                                                                 "'m", "'ll", "'d"};
    for (const std::string_view ending : kEndings) {
      if (!stands_here(ending)) continue;
      add(at_, at_ + ending.size());
      at_ += ending.size();
      return true;
    }
    return false;
  }

  void add(std::size_t begin, std::size_t end) {
    ClipWord word;
    for (std::size_t i = begin; i < end; ++i) encode(text_[i], word.text);
    words_.push_back(std::move(word));
  }

  std::u32string text_;
  std::size_t at_ = 0;
  std::vector<ClipWord>& words_;
};

void add_text(std::string_view text, std::vector<ClipWord>& words) {
  if (text.empty()) return;
  Scanner(lower_case(compose(decode(text))), words).run();
}

}  // namespace

std::vector<ClipWord> clip_words(std::string_view text) {
  std::vector<ClipWord> words;
  std::size_t begin = 0;
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
    const std::string_view here = text.substr(at);
    const bool start = here.starts_with(kStart);
    if (!start && !here.starts_with(kEnd)) {
      ++at;
      continue;
    }
    add_text(text.substr(begin, at - begin), words);
    words.push_back({start ? ClipWord::Kind::kStart : ClipWord::Kind::kEnd, {}});
    at += start ? kStart.size() : kEnd.size();
    begin = at;
  }
  add_text(text.substr(begin), words);
  return words;
}

}  // namespace luna::worker
