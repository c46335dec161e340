#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/image/image.h"

namespace luna {

/// One text chunk: a keyword of 1 to 79 Latin-1 characters, and UTF-8 text.
struct PngText {
  std::string keyword;
  std::string text;
  bool operator==(const PngText&) const = default;
};

/// What is refused before memory is taken for it.
struct PngLimits {
  int max_edge = 16384;  ///< pixels
  std::size_t max_file_bytes = std::size_t{1} << 30;
  std::size_t max_text_bytes = std::size_t{8} << 20;  ///< of all text chunks, uncompressed
  int max_text_chunks = 64;
};

struct PngFile {
  Image image;  ///< palette, low and 16-bit depths become 8 bits; gamma is left alone
  std::vector<PngText> texts;  ///< tEXt, zTXt and iTXt in the order of the file, as UTF-8
};

/// INVALID_ARGUMENT naming `name` for what is no PNG, is damaged, or exceeds a limit.
Result<PngFile> decode_png(std::string_view bytes, std::string_view name,
                           const PngLimits& limits = {});
/// The text chunks alone, those behind the pixels included; the pixels are not decoded.
Result<std::vector<PngText>> decode_png_texts(std::string_view bytes, std::string_view name,
                                              const PngLimits& limits = {});
/// Grey, RGB or RGBA at 8 bits. ASCII text is written as tEXt, other as iTXt, both uncompressed
/// (A1111 and ComfyUI read these).
Result<std::string> encode_png(const Image& image, const std::vector<PngText>& texts = {},
                               const PngLimits& limits = {});

/// NOT_FOUND, PERMISSION_DENIED or INVALID_ARGUMENT naming the file.
Result<PngFile> read_png(const std::string& path, const PngLimits& limits = {});
Result<std::vector<PngText>> read_png_texts(const std::string& path, const PngLimits& limits = {});

}  // namespace luna
