#include "common/prompt/python_float.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include "common/prompt/unicode.h"

namespace luna {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Python reads other scripts' digits and spaces only in texts that are not ASCII; in ASCII ones
/// the four separators 0x1c..0x1f are no spaces.
std::string to_ascii(std::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    if (const auto digit = decimal_digit(c.value)) {
      out += static_cast<char>('0' + *digit);
    } else if (is_space(c.value)) {
      out += ' ';
    } else {
      out += c.value < 0x80 ? static_cast<char>(c.value) : '?';
    }
    at += c.length;
  }
  return out;
}

std::string_view strip(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

/// Without its underscores; nullopt where one is not between two digits.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

/// digits [. digits] [e sign digits], at least one digit in the mantissa, and nothing else.
bool is_decimal(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return at - begin;
  };
  std::size_t mantissa = digits();
  if (at < text.size() && text[at] == '.') {
    ++at;
    mantissa += digits();
  }
  if (mantissa == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

/// Whether a decimal whose size no double has is too large rather than too small.
bool is_huge(std::string_view text) {
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  const std::string_view mantissa = text.substr(0, e);
  long long exponent = 0;
  if (e < text.size()) {
    std::string_view digits = text.substr(e + 1);
    const bool negative = digits.front() == '-';
    if (negative || digits.front() == '+') digits.remove_prefix(1);
    for (const char c : digits) exponent = std::min(exponent * 10 + (c - '0'), 1000000000LL);
    if (negative) exponent = -exponent;
  }
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t first = mantissa.find_first_of("123456789");
  const long long leading = first < point ? static_cast<long long>(point - first)
                                          : -static_cast<long long>(first - point - 1);
  return exponent + leading > 0;
}

std::optional<double> parse_unsigned(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (lower == "inf" || lower == "infinity") return std::numeric_limits<double>::infinity();
  if (lower == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (!is_decimal(lower)) return std::nullopt;
  double value = 0;
  const auto [end, failure] = std::from_chars(lower.data(), lower.data() + lower.size(), value);
  if (failure == std::errc::result_out_of_range)
    return is_huge(lower) ? std::numeric_limits<double>::infinity() : 0.0;
  return value;
}

}  // namespace

std::optional<double> python_float(std::string_view text) {
  const std::string ascii = to_ascii(text);
  const auto plain = without_underscores(strip(ascii));
  if (!plain || plain->empty()) return std::nullopt;
  std::string_view number = *plain;
  const bool negative = number.front() == '-';
  if (negative || number.front() == '+') number.remove_prefix(1);
  const auto value = parse_unsigned(number);
  if (value && negative) return -*value;
  return value;
}

}  // namespace luna
