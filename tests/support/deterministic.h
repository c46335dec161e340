#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace luna::support {

/// 64-bit FNV-1a.
std::uint64_t fnv1a(std::string_view text);

/// Element `index` of the stream `key`: the top 24 bits of the `index`-th output of splitmix64
/// seeded with `key`, as a number in [-1, 1) that f32 holds exactly. tests/parity/luna_weights.py
/// is the same.
float uniform(std::uint64_t key, std::uint64_t index);

/// Fills `out` with uniform(fnv1a(name), 0..n-1) * scale, one f32 rounding each.
void fill_uniform(std::string_view name, float scale, std::span<float> out);

/// `n` values as fill_uniform gives them.
std::vector<float> uniform_values(std::string_view name, std::size_t n, float scale = 1.0f);

/// A weight that keeps activations of deep nets near unit variance. By the shape and the end of the
/// name: two or more axes, u * sqrt(3 / fan_in); one axis and ".weight" (norms), 1 + u / 8; else
/// (biases) u / 16. fan_in is the product of all axes but the first.
void fill_weight(std::string_view name, std::span<const std::int64_t> shape, std::span<float> out);

/// IEEE half with round to nearest, ties to even; and bfloat16 likewise.
std::uint16_t half_bits(float value);
std::uint16_t bfloat16_bits(float value);

}  // namespace luna::support
