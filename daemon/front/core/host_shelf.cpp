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
  if (sources_.size() >= kMaxSources) drop_oldest();

  const std::string hash = weights.content_hash;
  if (!copies_.contains(hash)) {
    while (bytes_ > budget_ - size_of(weights)) drop_oldest();
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

void HostShelf::drop_oldest() {
  drop(std::min_element(copies_.begin(), copies_.end(), [](const auto& a, const auto& b) {
    return a.second.last_use < b.second.last_use;
  }));
}

}  // namespace luna::front
