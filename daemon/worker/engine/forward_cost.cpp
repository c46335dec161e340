#include "daemon/worker/engine/forward_cost.h"

#include <algorithm>
#include <iterator>
#include <optional>

namespace luna::worker {
namespace {

constexpr double kNewest = 0.25;  // weight of the newest measurement in the running mean
constexpr std::size_t kMaxKeys = 256;
constexpr double kStillQuick = 1.25;  // times a forward of two rows

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

int ForwardCost::quick_rows(const Key& key, int max) const {
  const auto known = by_key_.find(key);
  // The best of several trials: the first forward of a size prepares it, and others disturb.
  const auto best = [&](int rows) -> std::optional<double> {
    if (known == by_key_.end()) return std::nullopt;
    const auto entry = known->second.find(rows);
    if (entry == known->second.end() || entry->second.count < kTrials) return std::nullopt;
    return entry->second.best;
  };
  int rows = std::min(2, max);
  const std::optional<double> shortest = best(rows);
  if (!shortest) return rows;
  while (2 * rows <= max) {
    const std::optional<double> seconds = best(2 * rows);
    if (!seconds) return 2 * rows;
    if (*seconds > kStillQuick * *shortest) return rows;
    rows *= 2;
  }
  return rows;
}

}  // namespace luna::worker
