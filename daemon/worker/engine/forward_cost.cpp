#include "daemon/worker/engine/forward_cost.h"

#include <iterator>

namespace luna::worker {
namespace {

constexpr double kNewest = 0.25;  // weight of the newest measurement in the running mean
constexpr std::size_t kMaxKeys = 256;

}  // namespace

void ForwardCost::measured(const Key& key, int rows, double seconds) {
  if (seconds_.size() >= kMaxKeys && !seconds_.contains(key)) seconds_.clear();
  auto [mean, is_new] = seconds_[key].try_emplace(rows, seconds);
  if (!is_new) mean->second += kNewest * (seconds - mean->second);
}

double ForwardCost::predict(const Key& key, int rows) const {
  const auto known = seconds_.find(key);
  if (known == seconds_.end() || known->second.empty()) return rows;
  const auto& by_rows = known->second;
  const auto above = by_rows.lower_bound(rows);
  if (above != by_rows.end() && above->first == rows) return above->second;
  if (above == by_rows.begin()) return above->second * rows / above->first;
  const auto below = std::prev(above);
  if (above == by_rows.end()) return below->second * rows / below->first;
  const double share = static_cast<double>(rows - below->first) / (above->first - below->first);
  return below->second + share * (above->second - below->second);
}

}  // namespace luna::worker
