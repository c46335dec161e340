#include "common/image/png.h"

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include <png.h>

#include "common/image/png_text.h"
#include "common/image/whole_file.h"

namespace luna {
namespace {

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";

/// What libpng's callbacks share. Its errors end in longjmp, so frames between png_* calls and
/// setjmp hold nothing with a destructor.
struct Context {
  std::string_view input;
  std::size_t at = 0;
  std::string* output = nullptr;
  char message[200] = {};
};

void on_error(png_structp png, png_const_charp message) {
  auto* context = static_cast<Context*>(png_get_error_ptr(png));
  std::strncpy(context->message, message, sizeof context->message - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep into, std::size_t count) {
  auto* context = static_cast<Context*>(png_get_io_ptr(png));
  if (context->input.size() - context->at < count) png_error(png, "the file ends too early");
  std::memcpy(into, context->input.data() + context->at, count);
  context->at += count;
}

void on_write(png_structp png, png_bytep from, std::size_t count) {
  auto* context = static_cast<Context*>(png_get_io_ptr(png));
  context->output->append(reinterpret_cast<const char*>(from), count);
}

void on_flush(png_structp) {}

class Reader {
 public:
  explicit Reader(Context* context)
      : png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, context, on_error, on_warning)),
        info_(png_ ? png_create_info_struct(png_) : nullptr) {}
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  bool ok() const { return info_ != nullptr; }
  png_structp png() const { return png_; }
  png_infop info() const { return info_; }

 private:
  png_structp png_;
  png_infop info_;
};

class Writer {
 public:
  explicit Writer(Context* context)
      : png_(png_create_write_struct(PNG_LIBPNG_VER_STRING, context, on_error, on_warning)),
        info_(png_ ? png_create_info_struct(png_) : nullptr) {}
  ~Writer() { png_destroy_write_struct(&png_, &info_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  bool ok() const { return info_ != nullptr; }
  png_structp png() const { return png_; }
  png_infop info() const { return info_; }

 private:
  png_structp png_;
  png_infop info_;
};

bool read_header(const Reader& reader, Context* context, int max_edge, Image* image) {
  if (setjmp(png_jmpbuf(reader.png()))) return false;
  png_set_read_fn(reader.png(), context, on_read);
  png_set_user_limits(reader.png(), static_cast<png_uint_32>(max_edge),
                      static_cast<png_uint_32>(max_edge));
  png_set_crc_action(reader.png(), PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
  png_set_keep_unknown_chunks(reader.png(), PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
  // Text is read by decode_png_texts, which has limits of its own.
  static constexpr png_byte kTextChunks[] = "tEXt\0zTXt\0iTXt\0iCCP";
  png_set_keep_unknown_chunks(reader.png(), PNG_HANDLE_CHUNK_NEVER, kTextChunks, 4);
  png_read_info(reader.png(), reader.info());
  png_set_expand(reader.png());
  png_set_strip_16(reader.png());
  const png_byte color = png_get_color_type(reader.png(), reader.info());
  if (color == PNG_COLOR_TYPE_GRAY_ALPHA ||
      (color == PNG_COLOR_TYPE_GRAY &&
       png_get_valid(reader.png(), reader.info(), PNG_INFO_tRNS) != 0)) {
    png_set_gray_to_rgb(reader.png());
  }
  png_set_interlace_handling(reader.png());
  png_read_update_info(reader.png(), reader.info());
  image->width = static_cast<int>(png_get_image_width(reader.png(), reader.info()));
  image->height = static_cast<int>(png_get_image_height(reader.png(), reader.info()));
  image->channels = png_get_channels(reader.png(), reader.info());
  return true;
}

bool read_rows(const Reader& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png()))) return false;
  png_read_image(reader.png(), rows);
  png_read_end(reader.png(), nullptr);
  return true;
}

bool write_picture(const Writer& writer, Context* context, const Image& image, png_textp texts,
                   int text_count, png_bytepp rows) {
  if (setjmp(png_jmpbuf(writer.png()))) return false;
  png_set_write_fn(writer.png(), context, on_write, on_flush);
  const int color = image.channels == 1   ? PNG_COLOR_TYPE_GRAY
                    : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                          : PNG_COLOR_TYPE_RGBA;
  png_set_IHDR(writer.png(), writer.info(), static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, color, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(writer.png(), 4);
  if (text_count > 0) png_set_text(writer.png(), writer.info(), texts, text_count);
  png_write_info(writer.png(), writer.info());
  png_write_image(writer.png(), rows);
  png_write_end(writer.png(), nullptr);
  return true;
}

Status bad(std::string_view name, std::string_view why) {
  return error(StatusCode::kInvalidArgument, "'{}' cannot be read as a PNG: {}", name, why);
}

}  // namespace

Result<PngFile> decode_png(std::string_view bytes, std::string_view name, const PngLimits& limits) {
  if (!bytes.starts_with(kSignature)) return bad(name, "it does not begin with PNG's signature");
  PngFile file;
  LUNA_ASSIGN_OR_RETURN(file.texts, decode_png_texts(bytes, name, limits));
  Context context;
  context.input = bytes;
  const Reader reader(&context);
  if (!reader.ok()) {
    return error(StatusCode::kResourceExhausted, "no memory to read '{}'", name);
  }
  if (!read_header(reader, &context, limits.max_edge, &file.image)) {
    return bad(name, fmt::format("{} (at most {} x {} pixels are read)", context.message,
                                 limits.max_edge, limits.max_edge));
  }
  Image& image = file.image;
  const std::size_t stride =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  // A header may promise far more pixels than the file can hold: deflate shrinks at most 1032
  // times.
  if (stride * static_cast<std::size_t>(image.height) / 8 / 1032 > bytes.size()) {
    return bad(name, fmt::format("{} x {} pixels do not fit into its {} bytes", image.width,
                                 image.height, bytes.size()));
  }
  image.pixels.resize(stride * static_cast<std::size_t>(image.height));
  std::vector<png_bytep> rows(static_cast<std::size_t>(image.height));
  for (std::size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * stride;
  if (!read_rows(reader, rows.data())) return bad(name, context.message);
  return file;
}

Result<std::string> encode_png(const Image& image, const std::vector<PngText>& texts,
                               const PngLimits& limits) {
  LUNA_RETURN_IF_ERROR(image.validate());
  if (image.width > limits.max_edge || image.height > limits.max_edge) {
    return error(StatusCode::kInvalidArgument,
                 "a picture of {} x {} pixels; at most {} x {} are written", image.width,
                 image.height, limits.max_edge, limits.max_edge);
  }
  LUNA_RETURN_IF_ERROR(check_texts(texts, limits));
  std::vector<png_text> chunks(texts.size());
  std::string language;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    png_text& chunk = chunks[i];
    chunk = {};
    const bool ascii = std::ranges::all_of(texts[i].text, [](unsigned char c) { return c < 0x80; });
    chunk.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(texts[i].keyword.c_str());
    chunk.text = const_cast<char*>(texts[i].text.c_str());
    chunk.text_length = ascii ? texts[i].text.size() : 0;
    chunk.itxt_length = ascii ? 0 : texts[i].text.size();
    chunk.lang = language.data();
    chunk.lang_key = language.data();
  }
  const std::size_t stride =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  std::vector<png_bytep> rows(static_cast<std::size_t>(image.height));
  for (std::size_t y = 0; y < rows.size(); ++y) {
    rows[y] = const_cast<png_bytep>(image.pixels.data() + y * stride);
  }
  std::string bytes;
  Context context;
  context.output = &bytes;
  const Writer writer(&context);
  if (!writer.ok()) return error(StatusCode::kResourceExhausted, "no memory to write a PNG");
  if (!write_picture(writer, &context, image, chunks.data(), static_cast<int>(chunks.size()),
                     rows.data())) {
    return error(StatusCode::kInternal, "a picture could not be written as PNG: {}",
                 context.message);
  }
  return bytes;
}

Result<PngFile> read_png(const std::string& path, const PngLimits& limits) {
  LUNA_ASSIGN_OR_RETURN(const std::string bytes, read_whole_file(path, limits.max_file_bytes));
  return decode_png(bytes, path, limits);
}

Result<std::vector<PngText>> read_png_texts(const std::string& path, const PngLimits& limits) {
  LUNA_ASSIGN_OR_RETURN(const std::string bytes, read_whole_file(path, limits.max_file_bytes));
  return decode_png_texts(bytes, path, limits);
}

}  // namespace luna
