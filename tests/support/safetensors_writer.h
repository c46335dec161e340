#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/types/tensor.h"

namespace luna::support {

/// "F32", "BF16" and so on: safetensors' names of the types.
std::string_view safetensors_dtype(DType dtype);

/// Writes safetensors files for tests, tensor by tensor in the order of add(); bytes are produced
/// while writing, so a large file costs the memory of its largest tensor. Throws
/// std::runtime_error.
class SafetensorsWriter {
 public:
  using Fill = std::function<void(std::span<float>)>;

  void set_metadata(std::string key, std::string value);
  /// Bytes as they shall lie in the file.
  void add_bytes(std::string name, TensorSpec spec, std::string bytes);
  /// f32 values, stored as spec.dtype says (f32, f16 or bf16; rounded to nearest even).
  void add(std::string name, TensorSpec spec, Fill fill);
  void add(std::string name, std::vector<std::int64_t> shape, std::vector<float> values);

  void write(const std::string& path) const;

 private:
  struct Entry {
    std::string name;
    TensorSpec spec;
    Fill fill;
    std::string bytes;
  };
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// The bytes of a file with exactly this header and data, sound or not: 8 bytes of length, header,
/// data.
std::string raw_safetensors(std::string_view header, std::string_view data);

}  // namespace luna::support
