#include "tests/support/deterministic.h"

#include <bit>
#include <cmath>

namespace luna::support {

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return hash;
}

float uniform(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = key + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<float>(static_cast<std::int32_t>(z >> 40) - 0x800000) * 0x1p-23f;
}

void fill_uniform(std::string_view name, float scale, std::span<float> out) {
  const std::uint64_t key = fnv1a(name);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = uniform(key, i) * scale;
}

std::vector<float> uniform_values(std::string_view name, std::size_t n, float scale) {
  std::vector<float> values(n);
  fill_uniform(name, scale, values);
  return values;
}

void fill_weight(std::string_view name, std::span<const std::int64_t> shape, std::span<float> out) {
  if (shape.size() >= 2) {
    double fan_in = 1;
    for (std::size_t axis = 1; axis < shape.size(); ++axis)
      fan_in *= static_cast<double>(shape[axis]);
    fill_uniform(name, static_cast<float>(std::sqrt(3.0 / fan_in)), out);
  } else if (name.ends_with(".weight")) {
    fill_uniform(name, 0.125f, out);
    for (float& value : out) value += 1.0f;
  } else {
    fill_uniform(name, 0.0625f, out);
  }
}

std::uint16_t half_bits(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Adding 0.5 leaves the rounded subnormal in the low bits of the sum's mantissa.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

std::uint16_t bfloat16_bits(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace luna::support
