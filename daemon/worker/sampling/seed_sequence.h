#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace luna::worker {

/// The first `words` of numpy's SeedSequence(entropy, spawn_key=...,
/// pool_size=24).generate_state(): M. E. O'Neill's seed_seq hash over little-endian 32-bit words.
/// An empty key is the root sequence.
std::vector<std::uint32_t> seed_sequence(std::uint64_t entropy,
                                         std::span<const std::uint64_t> spawn_key,
                                         std::size_t words);

}  // namespace luna::worker
