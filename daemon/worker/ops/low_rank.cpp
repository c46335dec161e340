#include "daemon/worker/ops/low_rank.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>

#include <ATen/Parallel.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace luna::worker::ops {
namespace {

#if defined(__x86_64__)

constexpr std::int64_t kLanes = 8, kVectors = 3;
/// Columns whose sums are made at once: four rows of them and the factors fill the registers.
constexpr std::int64_t kTile = kLanes * kVectors;
/// Columns whose sums wait in the first cache, so that results leave in whole cache lines.
constexpr std::int64_t kStretch = 10 * kTile;
constexpr std::int64_t kRows = 4;
/// Rows that use a stretch's part of `down` while it is in a near cache.
constexpr std::int64_t kBlock = 64;
/// Numbers of a weight in one piece of a thread's work, about.
constexpr std::int64_t kPiece = 64 << 10;

/// Row-major, `in` numbers a row.
template <class Weight>
struct Matrices {
  const Weight* weight;
  const float *up, *down;  ///< `down`: tile after tile, each [rank, kTile]
  float* result;
  std::int64_t out, in, rank;
  bool streams;  ///< results begin where streaming stores like it, and are not read here
};

/// sums[row][column] = up[row] · down[:, column], for one tile.
template <int Rows>
__attribute__((target("avx2,fma,f16c"))) void sum_tile(const float* up, const float* down,
                                                       std::int64_t rank, float* sums) {
  __m256 sum[Rows][kVectors] = {};
  for (std::int64_t r = 0; r < rank; ++r) {
    __m256 right[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) right[v] = _mm256_loadu_ps(down + r * kTile + v * kLanes);
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row) {
      const __m256 left = _mm256_broadcast_ss(up + row * rank + r);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[row][v] = _mm256_fmadd_ps(left, right[v], sum[row][v]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      _mm256_storeu_ps(sums + row * kStretch + v * kLanes, sum[row][v]);
  }
}

__attribute__((target("avx2,fma,f16c"))) __m256 load(const float* numbers) {
  return _mm256_loadu_ps(numbers);
}
__attribute__((target("avx2,fma,f16c"))) __m256 load(const at::Half* numbers) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers)));
}
__attribute__((target("avx2,fma,f16c"))) __m256 load(const at::BFloat16* numbers) {
  const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(upper), 16));
}

template <class Weight>
__attribute__((target("avx2,fma,f16c"))) void add_sums(const Weight* weight, const float* sums,
                                                       float* result, std::int64_t columns,
                                                       bool streams) {
  std::int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    const __m256 sum = _mm256_add_ps(load(weight + c), _mm256_loadu_ps(sums + c));
    if (streams) {
      _mm256_stream_ps(result + c, sum);
    } else {
      _mm256_storeu_ps(result + c, sum);
    }
  }
  for (; c < columns; ++c) result[c] = static_cast<float>(weight[c]) + sums[c];
}

/// `columns` of `Rows` rows, from `begin`.
template <int Rows, class Weight>
void add_stretch(const Matrices<Weight>& m, std::int64_t row, std::int64_t begin,
                 std::int64_t columns) {
  alignas(64) float sums[Rows * kStretch];
  for (std::int64_t c = 0; c < columns; c += kTile) {
    // The weight comes from memory while the sums are made.
    for (int r = 0; r < Rows; ++r) {
      const auto* ahead = reinterpret_cast<const char*>(m.weight + (row + r) * m.in + begin + c);
      _mm_prefetch(ahead, _MM_HINT_T0);
      _mm_prefetch(ahead + 64, _MM_HINT_T0);
    }
    sum_tile<Rows>(m.up + row * m.rank, m.down + (begin + c) * m.rank, m.rank, sums + c);
  }
  for (int r = 0; r < Rows; ++r) {
    const std::int64_t first = (row + r) * m.in + begin;
    add_sums(m.weight + first, sums + r * kStretch, m.result + first, columns, m.streams);
  }
}

template <class Weight>
void add_rows(const Matrices<Weight>& m, std::int64_t row, std::int64_t end) {
  while (row < end) {
    const std::int64_t block_end = std::min(row + kBlock, end);
    for (std::int64_t begin = 0; begin < m.in; begin += kStretch) {
      const std::int64_t columns = std::min(kStretch, m.in - begin);
      std::int64_t r = row;
      for (; r + kRows <= block_end; r += kRows) add_stretch<kRows>(m, r, begin, columns);
      for (; r < block_end; ++r) add_stretch<1>(m, r, begin, columns);
    }
    row = block_end;
  }
}

/// [rank, in] tile after tile, with zeros where the last one is wider than what is left.
at::Tensor in_tiles(const at::Tensor& down) {
  const std::int64_t rank = down.size(0), in = down.size(1), tiles = (in + kTile - 1) / kTile;
  return at::constant_pad_nd(down, {0, tiles * kTile - in})
      .view({rank, tiles, kTile})
      .transpose(0, 1)
      .contiguous();
}

bool has_own_kernel(const at::Tensor& weight) {
  static const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                                __builtin_cpu_supports("f16c");
  const at::ScalarType type = weight.scalar_type();
  return supported && weight.is_cpu() &&
         (type == at::kFloat || type == at::kHalf || type == at::kBFloat16);
}

template <class Weight>
Matrices<Weight> matrices_of(const LowRankAddition& addition, const at::Tensor& tiles) {
  const auto* const from = addition.weight.const_data_ptr<Weight>();
  auto* const to = addition.result.mutable_data_ptr<float>();
  const std::int64_t in = addition.weight.size(1);
  const bool streams = static_cast<const void*>(from) != to && in % kLanes == 0 &&
                       reinterpret_cast<std::uintptr_t>(to) % sizeof(__m256) == 0;
  return {from,
          addition.up.const_data_ptr<float>(),
          tiles.const_data_ptr<float>(),
          to,
          addition.weight.size(0),
          in,
          addition.up.size(1),
          streams};
}

/// Additions of weights of any type, cut into pieces of about equal size.
class PiecesOfWork {
 public:
  void join(const LowRankAddition& addition) {
    tiles_.push_back(in_tiles(addition.down));
    const at::ScalarType type = addition.weight.scalar_type();
    if (type == at::kHalf) {
      cut(matrices_of<at::Half>(addition, tiles_.back()));
    } else if (type == at::kBFloat16) {
      cut(matrices_of<at::BFloat16>(addition, tiles_.back()));
    } else {
      cut(matrices_of<float>(addition, tiles_.back()));
    }
  }
  void run() const {
    at::parallel_for(0, static_cast<std::int64_t>(pieces_.size()), 1,
                     [this](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t i = begin; i < end; ++i) add(pieces_[as_index(i)]);
                       _mm_sfence();
                     });
  }

 private:
  struct Piece {
    std::size_t matrices;
    std::int64_t row, end;
  };

  static std::size_t as_index(std::int64_t i) { return static_cast<std::size_t>(i); }
  template <class Weight>
  void cut(const Matrices<Weight>& m) {
    matrices_.emplace_back(m);
    const std::int64_t rows = std::max(kRows, kPiece / m.in / kRows * kRows);
    for (std::int64_t row = 0; row < m.out; row += rows)
      pieces_.push_back({matrices_.size() - 1, row, std::min(row + rows, m.out)});
  }
  void add(const Piece& piece) const {
    std::visit([&](const auto& m) { add_rows(m, piece.row, piece.end); },
               matrices_[piece.matrices]);
  }

  std::vector<at::Tensor> tiles_;
  std::vector<std::variant<Matrices<float>, Matrices<at::Half>, Matrices<at::BFloat16>>> matrices_;
  std::vector<Piece> pieces_;
};

#endif

void add_with_libtorch(const LowRankAddition& addition) {
  at::Tensor sum = addition.result;
  if (addition.weight.const_data_ptr() != sum.const_data_ptr()) sum.copy_(addition.weight);
  sum.addmm_(addition.up, addition.down);
}

}  // namespace

void add_low_rank(const std::vector<LowRankAddition>& additions) {
#if defined(__x86_64__)
  PiecesOfWork pieces;
  for (const LowRankAddition& addition : additions) {
    if (has_own_kernel(addition.weight)) {
      pieces.join(addition);
    } else {
      add_with_libtorch(addition);
    }
  }
  pieces.run();
#else
  for (const LowRankAddition& addition : additions) add_with_libtorch(addition);
#endif
}

}  // namespace luna::worker::ops
