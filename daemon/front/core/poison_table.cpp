#include "daemon/front/core/poison_table.h"

#include <algorithm>
#include <tuple>

#include <fmt/ranges.h>

namespace luna::front {

PoisonTable::Entry& PoisonTable::entry(const std::string& fingerprint, TimePoint now) {
  if (!entries_.contains(fingerprint) && entries_.size() >= capacity_) {
    expire(now);
    if (entries_.size() >= capacity_) {
      // Suspicion is forgotten before a verdict, and what would expire first before the rest.
      entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& one) {
        return std::tuple(one.second.convicted, one.second.expires);
      }));
    }
  }
  Entry& entry = entries_[fingerprint];
  if (entry.expires <= now) entry = {};
  entry.expires = now + lifetime_;
  return entry;
}

const PoisonTable::Entry* PoisonTable::find(const std::string& fingerprint, TimePoint now) const {
  const auto found = entries_.find(fingerprint);
  return found == entries_.end() || found->second.expires <= now ? nullptr : &found->second;
}

void PoisonTable::suspect(const std::string& fingerprint, TimePoint now) {
  entry(fingerprint, now);
}

bool PoisonTable::blame(const std::string& fingerprint, const std::string& how, bool alone,
                        TimePoint now) {
  Entry& held = entry(fingerprint, now);
  held.deaths.push_back(how);
  if (held.deaths.size() > kDeathsToConvict) held.deaths.erase(held.deaths.begin());
  if (alone && held.deaths.size() >= kDeathsToConvict) held.convicted = true;
  return held.convicted;
}

void PoisonTable::clear(const std::string& fingerprint) {
  const auto found = entries_.find(fingerprint);
  if (found != entries_.end() && !found->second.convicted) entries_.erase(found);
}

bool PoisonTable::suspected(const std::string& fingerprint, TimePoint now) const {
  return find(fingerprint, now) != nullptr;
}

Status PoisonTable::refusal(const std::string& fingerprint, TimePoint now) const {
  const Entry* held = find(fingerprint, now);
  if (!held || !held->convicted) return {};
  const auto left = std::chrono::ceil<std::chrono::minutes>(held->expires - now).count();
  std::vector<std::string> deaths = held->deaths;
  deaths.erase(std::unique(deaths.begin(), deaths.end()), deaths.end());
  return error(StatusCode::kFailedPrecondition,
               "this request ended two workers ({}); it is refused for {} minute{}",
               fmt::join(deaths, "; "), left, left == 1 ? "" : "s");
}

void PoisonTable::expire(TimePoint now) {
  std::erase_if(entries_, [&](const auto& one) { return one.second.expires <= now; });
}

}  // namespace luna::front
