#include "daemon/worker/sampling/seed_sequence.h"

#include <array>

namespace luna::worker {
namespace {

constexpr std::size_t kPoolSize = 24;
using Pool = std::array<std::uint32_t, kPoolSize>;

/// Hashes words with a multiplier that moves on with every call.
class RunningHash {
 public:
  RunningHash(std::uint32_t start, std::uint32_t multiplier)
      : state_(start), multiplier_(multiplier) {}
  std::uint32_t operator()(std::uint32_t value) {
    value ^= state_;
    state_ *= multiplier_;
    value *= state_;
    return value ^ (value >> 16);
  }

 private:
  std::uint32_t state_;
  std::uint32_t multiplier_;
};

std::uint32_t mix(std::uint32_t x, std::uint32_t y) {
  const std::uint32_t mixed = 0xca01f9ddU * x - 0x4973f715U * y;
  return mixed ^ (mixed >> 16);
}

void append_words(std::vector<std::uint32_t>& words, std::uint64_t value) {
  words.push_back(static_cast<std::uint32_t>(value));
  if (value >> 32) words.push_back(static_cast<std::uint32_t>(value >> 32));
}

Pool mix_pool(const std::vector<std::uint32_t>& entropy) {
  RunningHash hash(0x43b0d7e5U, 0x931e8875U);
  Pool pool;
  for (std::size_t i = 0; i < kPoolSize; ++i) pool[i] = hash(i < entropy.size() ? entropy[i] : 0);
  for (std::size_t from = 0; from < kPoolSize; ++from) {
    for (std::size_t to = 0; to < kPoolSize; ++to) {
      if (from != to) pool[to] = mix(pool[to], hash(pool[from]));
    }
  }
  for (std::size_t from = kPoolSize; from < entropy.size(); ++from) {
    for (std::uint32_t& word : pool) word = mix(word, hash(entropy[from]));
  }
  return pool;
}

}  // namespace

std::vector<std::uint32_t> seed_sequence(std::uint64_t entropy,
                                         std::span<const std::uint64_t> spawn_key,
                                         std::size_t words) {
  std::vector<std::uint32_t> assembled;
  append_words(assembled, entropy);
  if (!spawn_key.empty()) assembled.resize(kPoolSize, 0);
  for (const std::uint64_t key : spawn_key) append_words(assembled, key);
  const Pool pool = mix_pool(assembled);

  RunningHash hash(0x8b51f9ddU, 0x58f38dedU);
  std::vector<std::uint32_t> state(words);
  for (std::size_t i = 0; i < words; ++i) state[i] = hash(pool[i % kPoolSize]);
  return state;
}

}  // namespace luna::worker
