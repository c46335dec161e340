#include "daemon/worker/engine/forward_cost.h"

#include <algorithm>
#include <iterator>

namespace luna::worker {
namespace {

constexpr double kNewest = 0.25;  // weight of the newest measurement in the running mean
constexpr std::size_t kMaxKeys = 256;
constexpr double kStillCheaper = 0.92;  // of a row's seconds, when a forward has twice the rows

}  // namespace

void ForwardCost::measured(const Key& key, int rows, double seconds) {
  if (by_key_.size() >= kMaxKeys && !by_key_.contains(key)) by_key_.clear();
  auto [entry, is_new] = by_key_[key].try_emplace(rows, Measured{seconds, seconds, 0});
  Measured& known = entry->second;
  ++known.count;
  known.mean += kNewest * (seconds - known.mean);
  known.best = std::min(known.best, seconds);
}

double ForwardCost::predict(const Key& key, int rows) const {
  const auto known = by_key_.find(key);
  if (known == by_key_.end() || known->second.empty()) return rows;
  const auto& by_rows = known->second;
  const auto above = by_rows.lower_bound(rows);
  if (above != by_rows.end() && above->first == rows) return above->second.mean;
  if (above == by_rows.begin()) return above->second.mean * rows / above->first;
  const auto below = std::prev(above);
  if (above == by_rows.end()) return below->second.mean * rows / below->first;
  const double share = static_cast<double>(rows - below->first) / (above->first - below->first);
  return below->second.mean + share * (above->second.mean - below->second.mean);
}

int ForwardCost::worthwhile_rows(const Key& key, int max) const {
  const auto known = by_key_.find(key);
  // The best of several trials: the first forward of a size prepares it, and others disturb.
  const auto seconds_a_row = [&](int rows) -> double {
    if (known == by_key_.end()) return 0;
    const auto entry = known->second.find(rows);
    return entry == known->second.end() || entry->second.count < kTrials
               ? 0
               : entry->second.best / rows;
  };
  int rows = std::min(2, max);
  while (2 * rows <= max) {
    const double now = seconds_a_row(rows), with_twice_as_many = seconds_a_row(2 * rows);
    if (now == 0) return rows;
    if (with_twice_as_many == 0) return 2 * rows;
    if (with_twice_as_many > kStillCheaper * now) return rows;
    rows *= 2;
  }
  return rows;
}

}  // namespace luna::worker
