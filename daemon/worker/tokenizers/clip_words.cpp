#include "daemon/worker/tokenizers/clip_words.h"

#include <array>
#include <utility>

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace luna::worker {
namespace {

constexpr std::string_view kStart = "<|startoftext|>";
constexpr std::string_view kEnd = "<|endoftext|>";
constexpr UChar32 kCapitalIWithDot = 0x130;
constexpr UChar32 kDotAbove = 0x307;

/// Character by character, without regard to the neighbours; only one letter becomes two.
icu::UnicodeString lower_case(const icu::UnicodeString& text) {
  icu::UnicodeString out;
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    const UChar32 c = text.char32At(i);
    if (c == kCapitalIWithDot) {
      out.append(static_cast<UChar32>('i')).append(kDotAbove);
    } else {
      out.append(u_tolower(c));
    }
  }
  return out;
}

enum class Class { kSpace, kLetter, kNumber, kOther };

Class class_of(UChar32 c) {
  if (u_isUWhiteSpace(c)) return Class::kSpace;
  const uint32_t mask = U_GET_GC_MASK(c);
  if ((mask & U_GC_L_MASK) != 0) return Class::kLetter;
  if ((mask & U_GC_N_MASK) != 0) return Class::kNumber;
  return Class::kOther;
}

/// Cuts a normalised text by CLIP's pattern.
class Scanner {
 public:
  Scanner(icu::UnicodeString text, std::vector<ClipWord>& words)
      : text_(std::move(text)), words_(words) {}

  void run() && {
    while (at_ < text_.length()) {
      if (control() || contraction()) continue;
      const Class first = class_of(text_.char32At(at_));
      const int32_t begin = at_;
      advance();
      if (first == Class::kSpace) continue;
      if (first != Class::kNumber) {
        while (at_ < text_.length() && class_of(text_.char32At(at_)) == first) advance();
      }
      add(begin, at_);
    }
  }

 private:
  void advance() { at_ = text_.moveIndex32(at_, 1); }

  bool stands_here(std::string_view ascii) const {
    const auto length = static_cast<int32_t>(ascii.size());
    if (text_.length() - at_ < length) return false;
    for (int32_t i = 0; i < length; ++i) {
      if (text_.charAt(at_ + i) != static_cast<char16_t>(ascii[static_cast<std::size_t>(i)]))
        return false;
    }
    return true;
  }

  /// A control token that only lower-casing made one is cut off from what follows, but it is text.
  bool control() {
    for (const std::string_view token : {kStart, kEnd}) {
      if (!stands_here(token)) continue;
      const int32_t end = at_ + static_cast<int32_t>(token.size());
      add(at_, at_ + 2);
      add(at_ + 2, end - 2);
      add(end - 2, end);
      at_ = end;
      return true;
    }
    return false;
  }

  bool contraction() {
    if (text_.charAt(at_) != u'\'') return false;
    static constexpr std::array<std::string_view, 7> kEndings = {"'s", "'t",  "'re", "'ve",
                                                                 "'m", "'ll", "'d"};
    for (const std::string_view ending : kEndings) {
      if (!stands_here(ending)) continue;
      const int32_t end = at_ + static_cast<int32_t>(ending.size());
      add(at_, end);
      at_ = end;
      return true;
    }
    return false;
  }

  void add(int32_t begin, int32_t end) {
    ClipWord word;
    text_.tempSubStringBetween(begin, end).toUTF8String(word.text);
    words_.push_back(std::move(word));
  }

  icu::UnicodeString text_;
  int32_t at_ = 0;
  std::vector<ClipWord>& words_;
};

void add_text(std::string_view text, std::vector<ClipWord>& words) {
  if (text.empty()) return;
  icu::UnicodeString utf16 = icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  UErrorCode failure = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(failure);
  if (U_SUCCESS(failure)) {
    icu::UnicodeString composed = nfc->normalize(utf16, failure);
    if (U_SUCCESS(failure)) utf16 = std::move(composed);
  }
  Scanner(lower_case(utf16), words).run();
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
