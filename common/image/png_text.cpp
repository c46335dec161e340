#include "common/image/png_text.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <zlib.h>

namespace luna {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";

Status bad(std::string_view name, std::string_view why) {
  return error(StatusCode::kInvalidArgument, "'{}' cannot be read as a PNG: {}", name, why);
}

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  }
  return value;
}

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t more = 0;
    std::uint32_t smallest = 0;
    std::uint32_t code = lead;
    if (lead >= 0xF0 && lead < 0xF8) {
      more = 3, smallest = 0x10000, code = lead & 7u;
    } else if (lead >= 0xE0 && lead < 0xF0) {
      more = 2, smallest = 0x800, code = lead & 15u;
    } else if (lead >= 0xC0 && lead < 0xE0) {
      more = 1, smallest = 0x80, code = lead & 31u;
    } else if (lead >= 0x80) {
      return false;
    }
    if (text.size() - i <= more) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 63u);
    }
    if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    i += more + 1;
  }
  return true;
}

/// tEXt and zTXt are Latin-1 by the standard; many programs write UTF-8 all the same.
std::string to_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string utf8;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xC0 | byte >> 6);
      utf8 += static_cast<char>(0x80 | (byte & 63));
    }
  }
  return utf8;
}

/// The whole zlib stream, or nothing when it is damaged or gives more than `limit` bytes.
std::optional<std::string> inflate_text(std::string_view packed, std::size_t limit) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return std::nullopt;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  char buffer[16384];
  int outcome = Z_OK;
  while (outcome == Z_OK && text.size() <= limit) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    outcome = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer, sizeof buffer - stream.avail_out);
  }
  inflateEnd(&stream);
  if (outcome != Z_STREAM_END || text.size() > limit) return std::nullopt;
  return text;
}

/// Cuts `rest` behind its next zero byte and returns what stood before.
std::optional<std::string_view> take_string(std::string_view* rest) {
  const std::size_t zero = rest->find('\0');
  if (zero == std::string_view::npos) return std::nullopt;
  const std::string_view taken = rest->substr(0, zero);
  rest->remove_prefix(zero + 1);
  return taken;
}

std::optional<PngText> parse_text(std::string_view type, std::string_view data, std::size_t limit) {
  const auto keyword = take_string(&data);
  if (!keyword || keyword->empty() || keyword->size() > 79) return std::nullopt;
  PngText entry{to_utf8(*keyword), {}};
  if (type == "tEXt") {
    entry.text = to_utf8(data);
    return entry;
  }
  bool packed = true;
  if (type == "iTXt") {
    if (data.size() < 2) return std::nullopt;
    packed = data[0] != 0;
    if (data[1] != 0) return std::nullopt;
    data.remove_prefix(2);
    if (!take_string(&data) || !take_string(&data)) return std::nullopt;
  } else {
    if (data.empty() || data[0] != 0) return std::nullopt;
    data.remove_prefix(1);
  }
  if (packed) {
    auto text = inflate_text(data, limit);
    if (!text) return std::nullopt;
    entry.text = to_utf8(*text);
  } else {
    entry.text = to_utf8(data);
  }
  return entry;
}

}  // namespace

Status check_texts(const std::vector<PngText>& texts, const PngLimits& limits) {
  if (texts.size() > static_cast<std::size_t>(limits.max_text_chunks)) {
    return error(StatusCode::kInvalidArgument, "{} PNG text chunks; at most {} are written",
                 texts.size(), limits.max_text_chunks);
  }
  std::size_t sum = 0;
  for (const PngText& entry : texts) {
    const bool printable =
        std::ranges::all_of(entry.keyword, [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
    if (entry.keyword.empty() || entry.keyword.size() > 79 || !printable ||
        entry.keyword.front() == ' ' || entry.keyword.back() == ' ') {
      return error(StatusCode::kInvalidArgument,
                   "PNG keyword '{}': expected 1 to 79 printable ASCII characters", entry.keyword);
    }
    if (entry.text.find('\0') != std::string::npos || !is_utf8(entry.text)) {
      return error(StatusCode::kInvalidArgument, "PNG text '{}': expected UTF-8 without zero bytes",
                   entry.keyword);
    }
    sum += entry.text.size();
  }
  if (sum > limits.max_text_bytes) {
    return error(StatusCode::kInvalidArgument, "{} bytes of PNG text; the limit is {}", sum,
                 limits.max_text_bytes);
  }
  return {};
}

Result<std::vector<PngText>> decode_png_texts(std::string_view bytes, std::string_view name,
                                              const PngLimits& limits) {
  if (!bytes.starts_with(kSignature)) return bad(name, "it does not begin with PNG's signature");
  std::vector<PngText> texts;
  std::size_t left = limits.max_text_bytes;
  std::string_view rest = bytes.substr(kSignature.size());
  while (true) {
    if (rest.size() < 12) return bad(name, "the file ends before its last chunk");
    const std::size_t length = big_endian(rest);
    const std::string_view type = rest.substr(4, 4);
    if (length > rest.size() - 12) {
      return bad(name, fmt::format("a chunk of {} bytes, {} are left", length, rest.size() - 12));
    }
    if (type == "IEND") return texts;
    if (type == "tEXt" || type == "zTXt" || type == "iTXt") {
      const std::string_view checked = rest.substr(4, length + 4);
      const auto sum = crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                             static_cast<uInt>(checked.size()));
      if (sum != big_endian(rest.substr(length + 8))) return bad(name, "a text chunk is damaged");
      auto entry = parse_text(type, checked.substr(4), left);
      if (!entry) {
        return bad(name, fmt::format("a text chunk is malformed or longer than {} bytes", left));
      }
      if (entry->text.size() > left ||
          texts.size() >= static_cast<std::size_t>(limits.max_text_chunks)) {
        return bad(name, fmt::format("more text than {} chunks of {} bytes in all",
                                     limits.max_text_chunks, limits.max_text_bytes));
      }
      left -= entry->text.size();
      texts.push_back(std::move(*entry));
    }
    rest.remove_prefix(length + 12);
  }
}

}  // namespace luna
