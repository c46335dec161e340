#include "daemon/front/core/host_shelf.h"

#include <algorithm>
#include <utility>

#include <unistd.h>

namespace luna::front {
namespace {

std::uint64_t size_of(const HostWeights& weights) { return weights.bytes->view().size(); }

}  // namespace

std::optional<HostWeights> HostShelf::find(const ComponentSource& source) {
  const auto known = sources_.find(source);
  if (known == sources_.end()) return std::nullopt;
  Copy& copy = copies_.at(known->second);
  copy.last_use = ++clock_;
  ++hits_;
  return copy.weights;
}

bool HostShelf::holds(const std::string& path) const {
  const auto known = sources_.lower_bound(ComponentSource{FileIdentity{.path = path}, Slot{}});
  return known != sources_.end() && known->first.file.path == path;
}

Status HostShelf::keep(const ComponentSource& source, HostWeights weights) {
  LUNA_RETURN_IF_ERROR(weights.validate());
  if (size_of(weights) > budget_) {
    return error(StatusCode::kResourceExhausted,
                 "the {} of {} has {} MiB, the budget of host copies is {} MiB",
                 slot_name(source.slot), source.file.path, size_of(weights) >> 20, budget_ >> 20);
  }
  for (auto it = sources_.begin(); it != sources_.end();) {
    const auto next = std::next(it);
    const bool same_file = it->first.file.path == source.file.path;
    if (it->first == source || (same_file && it->first.file != source.file)) forget(it);
    it = next;
  }
  const std::string hash = weights.content_hash;
  std::uint64_t pinned_bytes = 0;
  for (const auto& [held, copy] : copies_) pinned_bytes += pinned(held) ? size_of(copy.weights) : 0;
  const bool full = sources_.size() >= kMaxSources && !drop_oldest();
  if (full || (!copies_.contains(hash) && pinned_bytes > budget_ - size_of(weights))) {
    return error(StatusCode::kResourceExhausted,
                 "the {} of {} has {} MiB, and pinned host copies leave no room in {} MiB",
                 slot_name(source.slot), source.file.path, size_of(weights) >> 20, budget_ >> 20);
  }
  if (!copies_.contains(hash)) {
    while (bytes_ > budget_ - size_of(weights) && drop_oldest()) {
    }
    bytes_ += size_of(weights);
    copies_.emplace(hash, Copy{std::move(weights)});
  }
  Copy& copy = copies_.at(hash);
  copy.last_use = ++clock_;
  ++copy.sources;
  sources_.emplace(source, hash);
  return {};
}

void HostShelf::forget(std::map<ComponentSource, std::string>::iterator source) {
  const auto copy = copies_.find(source->second);
  sources_.erase(source);
  if (--copy->second.sources > 0) return;
  bytes_ -= size_of(copy->second.weights);
  copies_.erase(copy);
}

void HostShelf::drop(Copies::iterator copy) {
  std::erase_if(sources_, [&](const auto& source) { return source.second == copy->first; });
  bytes_ -= size_of(copy->second.weights);
  copies_.erase(copy);
}

std::uint64_t host_shelf_budget(const Config::Memory& config) {
  if (config.host_copies_mib != 0) return config.host_copies_mib << 20;
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 2;
}

std::uint64_t HostShelf::drop(const std::string& path, std::optional<Slot> slot,
                              const std::set<std::string>& spared) {
  const std::uint64_t before = bytes_;
  for (auto it = sources_.begin(); it != sources_.end();) {
    const auto next = std::next(it);
    const auto& [source, hash] = *it;
    if (source.file.path == path && (!slot || source.slot == *slot) && !spared.contains(hash)) {
      forget(it);
    }
    it = next;
  }
  return before - bytes_;
}

bool HostShelf::pinned(const std::string& hash) const {
  return !pins_.empty() && std::ranges::any_of(sources_, [&](const auto& source) {
    return source.second == hash && pins_.contains(source.first.file.path);
  });
}

bool HostShelf::drop_oldest() {
  auto oldest = copies_.end();
  for (auto copy = copies_.begin(); copy != copies_.end(); ++copy) {
    if (pinned(copy->first)) continue;
    if (oldest == copies_.end() || copy->second.last_use < oldest->second.last_use) oldest = copy;
  }
  if (oldest == copies_.end()) return false;
  drop(oldest);
  return true;
}

}  // namespace luna::front
