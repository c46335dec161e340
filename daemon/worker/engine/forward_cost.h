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
  /// The most rows, `max` at most, whose forward takes at most a quarter longer than one of two, so
  /// that whoever comes does not wait long for its end. Twice as many are tried out, kTrials
  /// forwards each, as long as that holds.
  int quick_rows(const Key& key, int max) const;
  static constexpr int kTrials = 3;

 private:
  struct Measured {
    double mean = 0, best = 0;
    int count = 0;
  };
  std::map<Key, std::map<int, Measured>> by_key_;
};

}  // namespace luna::worker
