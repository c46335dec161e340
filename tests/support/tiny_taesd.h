#pragma once

#include <string>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"

namespace luna::support {

/// A TAESD decoder in the published names (there the width is 64), with fill_weight's values.
inline void write_tiny_taesd(const std::string& path, int channels = 4, int width = 8) {
  SafetensorsWriter writer;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    writer.add(name, {DType::kF32, shape},
               [=](std::span<float> out) { fill_weight(name, shape, out); });
  };
  const auto conv = [&](const std::string& name, int in, int out) {
    add(name + ".weight", {out, in, 3, 3});
    add(name + ".bias", {out});
  };
  conv("1", channels, width);
  for (const char* block : {"3", "4", "5", "8", "9", "10", "13", "14", "15", "18"})
    for (const char* layer : {".conv.0", ".conv.2", ".conv.4"})
      conv(std::string(block) + layer, width, width);
  for (const char* doubled : {"7.weight", "12.weight", "17.weight"})
    add(doubled, {width, width, 3, 3});
  conv("19", width, 3);
  writer.write(path);
}

}  // namespace luna::support
