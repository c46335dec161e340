#include "common/prompt/prompt_weights.h"

#include <cstdint>
#include <limits>

#include "common/prompt/python_float.h"
#include "common/prompt/unicode.h"

namespace luna {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// While brackets are looked for, escaped ones hide behind two-character codes. A prompt that holds
// such a code itself gets a bracket, as with the reference.
constexpr std::string_view kHiddenClose("\0\1", 2);
constexpr std::string_view kHiddenOpen("\0\2", 2);

std::string hide_escaped(std::string_view prompt) {
  std::string out;
  out.reserve(prompt.size());
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    const char next = i + 1 < prompt.size() ? prompt[i + 1] : '\0';
    if (prompt[i] == '\\' && (next == ')' || next == '(')) {
      out += next == ')' ? kHiddenClose : kHiddenOpen;
      ++i;
    } else {
      out += prompt[i];
    }
  }
  return out;
}

std::string show_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view pair = text.substr(i, 2);
    if (pair == kHiddenClose || pair == kHiddenOpen) {
      out += pair == kHiddenClose ? ')' : '(';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Walks the groups of a prompt with a stack of its own.
///
/// Nesting is counted from the start of each range. Only the whole prompt can count below zero;
/// inside a group every ")" has its partner, so there the partners, found once for the whole text,
/// tell where a nested group ends, and each character is looked at in the one range that it belongs
/// to.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) { index(); }

  std::vector<WeightedText> run() && {
    for (const Segment& segment : outermost()) {
      if (text_[segment.begin] == '(') pair(segment);
      take(segment, 1.0);
      while (!pending_.empty()) {
        if (pending_.back().at == pending_.back().end) {
          pending_.pop_back();
        } else {
          step();
        }
      }
    }
    return std::move(out_);
  }

 private:
  struct Range {
    std::uint32_t at, end;
    double weight;
  };
  /// A group with its brackets, or a text.
  struct Segment {
    std::uint32_t begin, end;
  };

  std::uint32_t size() const { return static_cast<std::uint32_t>(text_.size()); }

  /// Last colon and last bracket before each position.
  void index() {
    partner_.assign(text_.size(), kNone);
    last_colon_.assign(text_.size() + 1, kNone);
    last_bracket_.assign(text_.size() + 1, kNone);
    for (std::uint32_t i = 0; i < size(); ++i) {
      const char c = text_[i];
      last_colon_[i + 1] = c == ':' ? i : last_colon_[i];
      last_bracket_[i + 1] = c == '(' || c == ')' ? i : last_bracket_[i];
    }
  }

  /// Partners of the brackets in a stretch whose first character is "(" and whose count stays
  /// positive.
  void pair(Segment segment) {
    std::vector<std::uint32_t> open;
    for (std::uint32_t i = segment.begin; i < segment.end; ++i) {
      if (text_[i] == '(') {
        open.push_back(i);
      } else if (text_[i] == ')' && !open.empty()) {
        partner_[open.back()] = i;
        open.pop_back();
      }
    }
  }

  std::vector<Segment> outermost() const {
    std::vector<Segment> segments;
    std::int64_t level = 0;
    std::uint32_t begin = 0;
    for (std::uint32_t i = 0; i < size(); ++i) {
      if (text_[i] == '(') {
        if (level == 0) {
          if (begin < i) segments.push_back({begin, i});
          begin = i;
        }
        ++level;
      } else if (text_[i] == ')') {
        if (--level == 0) {
          segments.push_back({begin, i + 1});
          begin = i + 1;
        }
      }
    }
    if (begin < size()) segments.push_back({begin, size()});
    return segments;
  }

  /// Takes the next stretch of the innermost range.
  void step() {
    Range& range = pending_.back();
    const std::uint32_t begin = range.at;
    std::uint32_t end = begin;
    if (text_[begin] == '(') {
      const std::uint32_t close = partner_[begin];
      end = close < range.end ? close + 1 : range.end;
    } else {
      while (end < range.end && text_[end] != '(') ++end;
    }
    range.at = end;
    take({begin, end}, range.weight);
  }

  void take(Segment segment, double weight) {
    const auto [begin, end] = segment;
    if (end - begin < 2 || text_[begin] != '(' || text_[end - 1] != ')') {
      out_.push_back({show_escaped(text_.substr(begin, end - begin)), weight});
      return;
    }
    Range inner = {begin + 1, end - 1, weight * 1.1};
    const std::uint32_t colon = last_colon_[inner.end], bracket = last_bracket_[inner.end];
    // A bracket behind the colon cannot be part of a number, so no tail is read twice.
    if (colon != kNone && colon > inner.at && bracket < colon) {
      if (const auto value = python_float(text_.substr(colon + 1, inner.end - colon - 1))) {
        inner.weight = *value;
        inner.end = colon;
      }
    }
    pending_.push_back(inner);
  }

  std::string_view text_;
  std::vector<std::uint32_t> last_colon_, last_bracket_, partner_;
  std::vector<Range> pending_;
  std::vector<WeightedText> out_;
};

}  // namespace

Result<std::vector<WeightedText>> parse_prompt_weights(std::string_view prompt) {
  if (prompt.size() > kMaxPromptBytes) {
    return error(StatusCode::kInvalidArgument, "the prompt has {} bytes; at most {} are served",
                 prompt.size(), kMaxPromptBytes);
  }
  if (!is_valid_utf8(prompt))
    return error(StatusCode::kInvalidArgument, "the prompt is not valid UTF-8");
  const std::string text = hide_escaped(prompt);
  return Walk(text).run();
}

}  // namespace luna
