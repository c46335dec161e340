#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "daemon/worker/adapters/adapter_file.h"

namespace {

constexpr std::array<const char*, 26> kEndings = {
    ".lora_up.weight", ".lora_down.weight", ".lora_mid.weight", ".lora_A.weight", ".lora_B.weight",
    ".hada_w1_a",      ".hada_w1_b",        ".hada_w2_a",       ".hada_w2_b",     ".hada_t1",
    ".hada_t2",        ".lokr_w1",          ".lokr_w1_a",       ".lokr_w1_b",     ".lokr_w2",
    ".lokr_w2_a",      ".lokr_w2_b",        ".lokr_t2",         ".a1.weight",     ".a2.weight",
    ".b1.weight",      ".b2.weight",        ".oft_blocks",      ".rescale",       ".diff",
    ".alpha"};
constexpr std::uint8_t kDoraScale = 26;

}  // namespace

/// Input: a tensor after the other, each a byte for its kind, one for its number of axes (0..4) and
/// one for the extent of each axis (0..4). Whatever is accepted for a weight must apply to it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  std::size_t at = 0;
  while (at + 2 <= size && tensors.size() < 8) {
    const std::uint8_t kind = data[at] % (kDoraScale + 1);
    const std::size_t axes = data[at + 1] % 5;
    at += 2;
    if (at + axes > size) break;
    std::vector<std::int64_t> shape;
    for (std::size_t axis = 0; axis < axes; ++axis) shape.push_back(data[at++] % 5);
    const std::string name = kind == kDoraScale ? ".dora_scale" : kEndings[kind];
    tensors.emplace_back("x" + name, at::full(shape, 0.5));
  }
  const auto adapter = luna::worker::make_adapter(tensors);
  if (!adapter.ok()) return 0;
  const std::vector<std::vector<std::int64_t>> weights = {{},     {4},    {4, 4},      {2, 3},
                                                          {4, 1}, {0, 2}, {4, 2, 3, 3}};
  for (const auto& [name, layer] : adapter->layers) {
    for (const auto& shape : weights) {
      for (const auto& change : {layer.weight, layer.bias}) {
        if (!change || !change->fits(shape).ok()) continue;
        if (change->apply(at::ones(shape), 0.5).sizes() != at::IntArrayRef(shape))
          luna::die("an adapter that fits gives a weight of another shape");
      }
    }
  }
  return 0;
}
