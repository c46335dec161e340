#include "daemon/worker/formats/safetensors_header.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>

#include <nlohmann/json.hpp>

namespace luna::worker {
namespace {

struct FileType {
  std::string_view name;
  std::optional<DType> dtype;  ///< empty: part of the format, not served
};
constexpr std::array<FileType, 20> kFileTypes = {{
    {"F32", DType::kF32},      {"F16", DType::kF16},        {"BF16", DType::kBF16},
    {"F64", DType::kF64},      {"I64", DType::kI64},        {"I32", DType::kI32},
    {"I16", DType::kI16},      {"I8", DType::kI8},          {"U8", DType::kU8},
    {"BOOL", DType::kBool},    {"F8_E4M3", DType::kF8E4M3}, {"F8_E5M2", DType::kF8E5M2},
    {"U16", std::nullopt},     {"U32", std::nullopt},       {"U64", std::nullopt},
    {"C64", std::nullopt},     {"F4", std::nullopt},        {"F6_E2M3", std::nullopt},
    {"F6_E3M2", std::nullopt}, {"F8_E8M0", std::nullopt},
}};

/// A name as it may stand in a message: short, and without control characters.
std::string shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 120)) out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  if (name.size() > 120) out += "...";
  return out;
}

Status invalid(std::string message) {
  return Status(StatusCode::kInvalidArgument, "safetensors header: " + std::move(message));
}

/// Takes the header apart event by event: no tree is built, and nothing nests deeper than the
/// format does.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeader take() && { return std::move(header_); }
  const Status& status() const { return status_; }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_float(double, const std::string&) override {
    return unexpected("a fraction or huge number");
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_integer(std::int64_t value) override {
    return unexpected(fmt::format("the negative number {}", value));
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ == Place::kShape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return unexpected("an extent above 2^63");
      if (entry_.spec.shape.size() == 8) return fail(invalid(where() + "more than 8 axes"));
      entry_.spec.shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (offsets_ == 2) return fail(invalid(where() + "more than two data_offsets"));
      (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
      return true;
    }
    return unexpected("a number");
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata && !key_.empty()) {
      if (!header_.metadata.emplace(std::exchange(key_, {}), std::move(value)).second)
        return fail(invalid("a metadata key stands there twice"));
      return true;
    }
    if (place_ != Place::kTensor || key_ != "dtype") return unexpected("a string");
    key_.clear();
    const auto found = std::find_if(kFileTypes.begin(), kFileTypes.end(),
                                    [&](const FileType& type) { return type.name == value; });
    if (found == kFileTypes.end())
      return fail(
          invalid(fmt::format("{}unknown dtype '{}'; expected F32, F16, BF16, F64, I64, I32, I16, "
                              "I8, U8, BOOL, F8_E4M3 or F8_E5M2",
                              where(), shown(value))));
    if (!found->dtype) {
      return fail(error(StatusCode::kUnimplemented,
                        "safetensors header: {}tensors of dtype '{}' are not served", where(),
                        value));
    }
    entry_.spec.dtype = *found->dtype;
    has_dtype_ = true;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTensors;
      return true;
    }
    if (place_ != Place::kTensors) return unexpected("an object");
    if (key_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else {
      place_ = Place::kTensor;
      entry_ = {};
      entry_.name = key_;
      has_dtype_ = has_shape_ = has_offsets_ = false;
    }
    key_.clear();
    return true;
  }

  bool key(std::string& key) override {
    if (place_ == Place::kTensors &&
        (key.empty() || key.size() > kMaxSafetensorsName || key.find('\0') != std::string::npos)) {
      return fail(
          invalid(fmt::format("the tensor name '{}' is empty, longer than {} bytes or holds a NUL",
                              shown(key), kMaxSafetensorsName)));
    }
    if (place_ == Place::kTensors && !names_.insert(key).second)
      return fail(invalid(fmt::format("the tensor '{}' stands there twice", shown(key))));
    if (place_ == Place::kTensors && names_.size() > kMaxSafetensorsTensors + 1)
      return fail(invalid(fmt::format("more than {} tensors", kMaxSafetensorsTensors)));
    if (place_ == Place::kMetadata && key.empty()) return fail(invalid("an empty metadata key"));
    if (place_ == Place::kTensor) {
      const bool repeated = (key == "dtype" && has_dtype_) || (key == "shape" && has_shape_) ||
                            (key == "data_offsets" && has_offsets_);
      if (repeated || (key != "dtype" && key != "shape" && key != "data_offsets")) {
        return fail(invalid(
            fmt::format("{}the field '{}' is {}; expected dtype, shape and data_offsets once",
                        where(), shown(key), repeated ? "repeated" : "unknown")));
      }
    }
    key_ = key;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || (key_ != "shape" && key_ != "data_offsets"))
      return unexpected("a list");
    place_ = key_ == "shape" ? Place::kShape : Place::kOffsets;
    offsets_ = 0;
    key_.clear();
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && offsets_ != 2)
      return fail(invalid(fmt::format("{}{} data_offsets; expected two", where(), offsets_)));
    (place_ == Place::kShape ? has_shape_ : has_offsets_) = true;
    place_ = Place::kTensor;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      if (!has_dtype_ || !has_shape_ || !has_offsets_)
        return fail(invalid(where() + "dtype, shape or data_offsets is missing"));
      header_.entries.push_back(std::move(entry_));
    }
    place_ = place_ == Place::kTensors ? Place::kEnd : Place::kTensors;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& problem) override {
    return fail(invalid(fmt::format("not JSON at byte {}: {}", position, shown(problem.what()))));
  }

 private:
  enum class Place { kStart, kTensors, kTensor, kShape, kOffsets, kMetadata, kEnd };

  std::string where() const {
    if (place_ == Place::kTensor || place_ == Place::kShape || place_ == Place::kOffsets)
      return fmt::format("tensor '{}': ", shown(entry_.name));
    return {};
  }

  std::string_view expected() const {
    switch (place_) {
      case Place::kStart:
        return "an object of tensors";
      case Place::kTensors:
        return "an object with dtype, shape and data_offsets";
      case Place::kTensor:
        return key_ == "dtype" ? "a type name" : "a list of numbers";
      case Place::kShape:
        return "extents of zero or more";
      case Place::kOffsets:
        return "two offsets of zero or more";
      case Place::kMetadata:
        return "a string";
      case Place::kEnd:
        return "the end";
    }
    return {};
  }

  bool unexpected(std::string_view found) {
    const std::string context = where().empty() && !key_.empty() ? shown(key_) + ": " : where();
    return fail(invalid(fmt::format("{}expected {}, found {}", context, expected(), found)));
  }

  bool fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
    return false;
  }

  SafetensorsHeader header_;
  Status status_;
  Place place_ = Place::kStart;
  std::string key_;
  SafetensorsEntry entry_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;
  std::unordered_set<std::string> names_;
};

/// That the product of the extents can be formed, those beside a zero too.
Status check_extents(const SafetensorsEntry& entry) {
  unsigned __int128 product = dtype_size(entry.spec.dtype);
  for (const std::int64_t extent : entry.spec.shape) {
    product *= static_cast<unsigned __int128>(std::max<std::int64_t>(extent, 1));
    if (product > (static_cast<unsigned __int128>(1) << 62)) {
      return invalid(fmt::format("tensor '{}': {} would have more than 2^62 bytes",
                                 shown(entry.name), entry.spec.to_string()));
    }
  }
  return {};
}

/// Sizes against shapes, then the order of the bytes.
Status check_layout(std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes) {
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin > entry.end || entry.end > data_bytes) {
      return error(StatusCode::kDataLoss,
                   "tensor '{}' lies at bytes {} to {}; the data part has {} bytes",
                   shown(entry.name), entry.begin, entry.end, data_bytes);
    }
    LUNA_RETURN_IF_ERROR(check_extents(entry));
    if (entry.spec.byte_size() != entry.end - entry.begin) {
      return error(StatusCode::kDataLoss,
                   "tensor '{}': {} needs {} bytes, its data_offsets span {}", shown(entry.name),
                   entry.spec.to_string(), entry.spec.byte_size(), entry.end - entry.begin);
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  std::uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected) {
      return error(StatusCode::kDataLoss,
                   "tensor '{}' begins at byte {}; expected {}, where the tensor "
                   "before it ends ({})",
                   shown(entry.name), entry.begin, expected,
                   entry.begin < expected ? "they overlap" : "there is a hole");
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    return error(StatusCode::kDataLoss,
                 "the tensors end at byte {} of the data part, which has {} bytes", expected,
                 data_bytes);
  }
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::string_view json,
                                                   std::uint64_t data_bytes) {
  if (json.size() > kMaxSafetensorsHeader) {
    return invalid(
        fmt::format("{} bytes long; at most {} are read", json.size(), kMaxSafetensorsHeader));
  }
  if (!json.starts_with('{')) return invalid("expected '{' as its first character");
  Reader reader;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader) || !reader.status().ok())
    return reader.status().ok() ? invalid("not JSON") : reader.status();
  SafetensorsHeader header = std::move(reader).take();
  LUNA_RETURN_IF_ERROR(check_layout(header.entries, data_bytes));
  return header;
}

}  // namespace luna::worker
