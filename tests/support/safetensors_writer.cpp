#include "tests/support/safetensors_writer.h"

#include <fstream>
#include <stdexcept>

#include <fmt/ranges.h>

#include "tests/support/deterministic.h"

namespace luna::support {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string length_prefix(std::uint64_t length) {
  std::string out;
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>((length >> shift) & 0xff);
  return out;
}

std::string stored(std::span<const float> values, DType dtype) {
  if (dtype == DType::kF32)
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
  if (dtype != DType::kF16 && dtype != DType::kBF16)
    throw std::runtime_error("the writer stores values as f32, f16 or bf16");
  std::string out(values.size() * 2, '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits =
        dtype == DType::kF16 ? half_bits(values[i]) : bfloat16_bits(values[i]);
    out[2 * i] = static_cast<char>(bits & 0xff);
    out[2 * i + 1] = static_cast<char>(bits >> 8);
  }
  return out;
}

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kF64:
      return "F64";
    case DType::kI64:
      return "I64";
    case DType::kI32:
      return "I32";
    case DType::kI16:
      return "I16";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
    case DType::kBool:
      return "BOOL";
    case DType::kF8E4M3:
      return "F8_E4M3";
    case DType::kF8E5M2:
      return "F8_E5M2";
  }
  throw std::runtime_error("unknown dtype");
}

void SafetensorsWriter::set_metadata(std::string key, std::string value) {
  metadata_[std::move(key)] = std::move(value);
}

void SafetensorsWriter::add_bytes(std::string name, TensorSpec spec, std::string bytes) {
  if (bytes.size() != spec.byte_size())
    throw std::runtime_error(
        fmt::format("{}: {} bytes given for {}", name, bytes.size(), spec.to_string()));
  entries_.push_back({std::move(name), std::move(spec), nullptr, std::move(bytes)});
}

void SafetensorsWriter::add(std::string name, TensorSpec spec, Fill fill) {
  entries_.push_back({std::move(name), std::move(spec), std::move(fill), {}});
}

void SafetensorsWriter::add(std::string name, std::vector<std::int64_t> shape,
                            std::vector<float> values) {
  add_bytes(std::move(name), {DType::kF32, std::move(shape)}, stored(values, DType::kF32));
}

void SafetensorsWriter::write(const std::string& path) const {
  std::string header = "{";
  const auto separate = [&] {
    if (header.size() > 1) header += ",";
  };
  if (!metadata_.empty()) {
    std::string inner;
    for (const auto& [key, value] : metadata_) {
      if (!inner.empty()) inner += ",";
      inner += quoted(key) + ":" + quoted(value);
    }
    header += "\"__metadata__\":{" + inner + "}";
  }
  std::uint64_t offset = 0;
  for (const Entry& entry : entries_) {
    separate();
    const std::uint64_t end = offset + entry.spec.byte_size();
    header += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          quoted(entry.name), safetensors_dtype(entry.spec.dtype),
                          fmt::join(entry.spec.shape, ","), offset, end);
    offset = end;
  }
  header += "}";
  while (header.size() % 8 != 0) header += ' ';

  std::ofstream out(path, std::ios::binary);
  out << length_prefix(header.size()) << header;
  std::vector<float> values;
  for (const Entry& entry : entries_) {
    if (entry.fill == nullptr) {
      out << entry.bytes;
      continue;
    }
    values.resize(static_cast<std::size_t>(entry.spec.numel()));
    entry.fill(values);
    out << stored(values, entry.spec.dtype);
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

std::string raw_safetensors(std::string_view header, std::string_view data) {
  return length_prefix(header.size()) + std::string(header) + std::string(data);
}

}  // namespace luna::support
