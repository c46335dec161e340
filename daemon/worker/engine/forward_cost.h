#pragma once

#include <cstdint>
#include <map>
#include <tuple>

namespace luna::worker {

/// What forwards of one model at one latent size have taken, by rows.
class ForwardCost {
 public:
  /// Model (as an address, never followed), height, width.
  using Key = std::tuple<const void*, std::int64_t, std::int64_t>;

  void measured(const Key& key, int rows, double seconds);
  /// Seconds of a forward of `rows` rows: as measured, between two measured ones a straight line,
  /// beyond them in proportion; `rows` itself (an arbitrary unit) while nothing is known.
  double predict(const Key& key, int rows) const;

 private:
  std::map<Key, std::map<int, double>> seconds_;
};

}  // namespace luna::worker
