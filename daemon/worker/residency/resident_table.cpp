#include "daemon/worker/residency/resident_table.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/ranges.h>

namespace luna::worker {
namespace {

constexpr std::size_t kNamedHolders = 8;
/// Sets that a base remembers having given up.
constexpr std::size_t kGivenUp = 64;

bool came_from(const ResidentTable::Entry& entry, const std::string& path) {
  return std::ranges::any_of(entry.requests, [&](const ResidentTable::Request& request) {
    return std::get<FileIdentity>(request).path == path;
  });
}

}  // namespace

bool ResidentTable::Adapters::differs_in_strengths_alone(const Adapters& other) const {
  return !row_wise && !other.row_wise &&
         std::ranges::equal(in_order, other.in_order, {}, &Adapter::file, &Adapter::file);
}

ResidentTable::EntryPtr ResidentTable::find(const Request& request) const {
  const auto found = std::ranges::find_if(
      entries_, [&](const EntryPtr& entry) { return entry->requests.contains(request); });
  return found == entries_.end() ? nullptr : *found;
}

ResidentTable::EntryPtr ResidentTable::find_content(const std::string& hash, Slot slot,
                                                    at::ScalarType storage) const {
  const auto found = std::ranges::find_if(entries_, [&](const EntryPtr& entry) {
    return entry->model.info.content_hash == hash && entry->model.info.slot == slot &&
           entry->storage == storage;
  });
  return found == entries_.end() ? nullptr : *found;
}

void ResidentTable::use(Entry& entry) {
  ++entry.jobs;
  ++entry.uses;
  entry.last_use = ++clock_;
}

ResidentTable::OverlayPtr ResidentTable::find_overlay(const Request& request,
                                                      const Adapters& adapters) const {
  const EntryPtr base = find(request);
  const auto found = std::ranges::find_if(overlays_, [&](const OverlayPtr& overlay) {
    return overlay->base == base && overlay->adapters == adapters;
  });
  return base && found != overlays_.end() ? *found : nullptr;
}

void ResidentTable::use_overlay(Overlay& overlay) {
  overlay.came_back |=
      overlay.last_use > 0 && std::ranges::any_of(overlays_, [&](const OverlayPtr& other) {
        return other->base == overlay.base && other->last_use > overlay.last_use;
      });
  ++overlay.jobs;
  ++overlay.base->uses;
  overlay.last_use = overlay.base->last_use = ++clock_;
}

bool ResidentTable::held(const Entry& entry) const {
  return entry.jobs > 0 || pinned(entry) ||
         std::ranges::any_of(overlays_, [&](const OverlayPtr& overlay) {
           return overlay->base.get() == &entry && overlay->jobs > 0;
         });
}

void ResidentTable::drop_overlays(const EntryPtr& base, Dropped& dropped) {
  for (const OverlayPtr& overlay : overlays_) {
    if (overlay->base == base) dropped.emplace_back(overlay);
  }
  std::erase_if(overlays_, [&](const OverlayPtr& overlay) { return overlay->base == base; });
}

template <class Condition>
ResidentTable::Dropped ResidentTable::drop_if(Condition condition) {
  const auto first = std::stable_partition(
      entries_.begin(), entries_.end(), [&](const EntryPtr& entry) { return !condition(*entry); });
  const std::vector<EntryPtr> gone(first, entries_.end());
  entries_.erase(first, entries_.end());
  Dropped dropped;
  for (const EntryPtr& entry : gone) {
    drop_overlays(entry, dropped);
    dropped.emplace_back(entry);
  }
  return dropped;
}

ResidentTable::Dropped ResidentTable::forget_older(const FileIdentity& file) {
  for (const EntryPtr& entry : entries_) {
    std::erase_if(entry->requests, [&](const Request& old) {
      const FileIdentity& other = std::get<FileIdentity>(old);
      return other.path == file.path && other != file;
    });
  }
  return drop_if([](const Entry& entry) { return entry.requests.empty(); });
}

std::vector<ResidentTable::OverlayPtr>::iterator ResidentTable::oldest_idle_overlay() {
  auto oldest = overlays_.end();
  for (auto it = overlays_.begin(); it != overlays_.end(); ++it) {
    if ((*it)->jobs > 0) continue;
    if (oldest == overlays_.end() || (*it)->last_use < (*oldest)->last_use) oldest = it;
  }
  return oldest;
}

ResidentTable::Dropped ResidentTable::evict_overlays_until(std::uint64_t limit) {
  Dropped dropped;
  while (overlay_bytes() > limit) {
    const auto oldest = oldest_idle_overlay();
    if (oldest == overlays_.end()) break;
    dropped.emplace_back(std::move(*oldest));
    overlays_.erase(oldest);
  }
  return dropped;
}

void ResidentTable::add_overlay(OverlayPtr overlay) {
  overlay->came_back = std::erase(overlay->base->given_up, overlay->adapters) > 0;
  overlays_.push_back(std::move(overlay));
}

ResidentTable::Dropped ResidentTable::drop_passing_strengths(const EntryPtr& base,
                                                             const Adapters& next) {
  if (std::ranges::find(base->given_up, next) != base->given_up.end()) return {};
  std::vector<OverlayPtr> passing;
  for (const OverlayPtr& overlay : overlays_) {
    if (overlay->base == base && overlay->jobs == 0 && !overlay->came_back &&
        overlay->adapters.differs_in_strengths_alone(next)) {
      passing.push_back(overlay);
    }
  }
  Dropped dropped;
  std::ranges::sort(passing, {}, &Overlay::last_use);
  for (std::size_t i = 0; i + 1 < passing.size(); ++i) {
    std::erase(overlays_, passing[i]);
    base->given_up.push_back(passing[i]->adapters);
    if (base->given_up.size() > kGivenUp) base->given_up.pop_front();
    dropped.emplace_back(passing[i]);
  }
  return dropped;
}

std::shared_ptr<OverlayMemory> ResidentTable::take_memory(Dropped& dropped, const EntryPtr& base,
                                                          const OverlayLayout& layout) {
  for (Kept& kept : dropped) {
    auto* const overlay = std::get_if<OverlayPtr>(&kept);
    if (!overlay || (*overlay)->base != base || !(*overlay)->memory) continue;
    if ((*overlay)->memory->layout() != layout) continue;
    (*overlay)->model.model = {};
    return std::move((*overlay)->memory);
  }
  return nullptr;
}

ResidentTable::Dropped ResidentTable::evict_until(std::uint64_t limit) {
  Dropped dropped;
  while (bytes() > limit) {
    // An overlay was last used no later than its base, so of the two it goes first.
    const auto overlay = oldest_idle_overlay();
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (held(**it)) continue;
      if (oldest == entries_.end() || (*it)->last_use < (*oldest)->last_use) oldest = it;
    }
    const bool overlay_goes =
        overlay != overlays_.end() &&
        (oldest == entries_.end() || (*overlay)->last_use <= (*oldest)->last_use);
    if (overlay_goes) {
      dropped.emplace_back(std::move(*overlay));
      overlays_.erase(overlay);
    } else if (oldest != entries_.end()) {
      drop_overlays(*oldest, dropped);
      dropped.emplace_back(std::move(*oldest));
      entries_.erase(oldest);
    } else {
      break;
    }
  }
  return dropped;
}

ResidentTable::Dropped ResidentTable::unload(const std::string& path, std::optional<Slot> slot,
                                             UnloadModelReply& reply) {
  const auto asked_for = [&](const Entry& entry) {
    return came_from(entry, path) && (!slot || entry.model.info.slot == *slot);
  };
  for (const EntryPtr& entry : entries_) {
    if (!asked_for(*entry)) continue;
    LoadedModel model = describe(*entry);
    if (held(*entry)) {
      reply.held.push_back(std::move(model));
    } else {
      reply.freed_bytes += model.resident_bytes;
      for (const OverlayPtr& overlay : overlays_) {
        if (overlay->base == entry) reply.freed_bytes += overlay->bytes;
      }
      model.tier = Tier::kFile;
      reply.unloaded.push_back(std::move(model));
    }
  }
  return drop_if([&](const Entry& entry) { return asked_for(entry) && !held(entry); });
}

std::uint64_t ResidentTable::bytes() const {
  std::uint64_t total = 0;
  for (const EntryPtr& entry : entries_) total += entry->bytes;
  return total + overlay_bytes();
}

std::uint64_t ResidentTable::overlay_bytes() const {
  std::uint64_t total = 0;
  for (const OverlayPtr& overlay : overlays_) total += overlay->bytes;
  return total;
}

std::uint64_t ResidentTable::held_bytes() const {
  std::uint64_t total = 0;
  for (const EntryPtr& entry : entries_) total += held(*entry) ? entry->bytes : 0;
  for (const OverlayPtr& overlay : overlays_) total += overlay->jobs > 0 ? overlay->bytes : 0;
  return total;
}

std::uint64_t ResidentTable::pinned_bytes() const {
  std::uint64_t total = 0;
  for (const EntryPtr& entry : entries_) total += pinned(*entry) ? entry->bytes : 0;
  return total;
}

std::string ResidentTable::held_in_words() const {
  std::vector<const Entry*> holders;
  for (const EntryPtr& entry : entries_) {
    if (held(*entry)) holders.push_back(entry.get());
  }
  std::ranges::stable_sort(holders, std::greater(), &Entry::bytes);
  std::vector<std::string> texts;
  for (const Entry* entry : holders) {
    if (texts.size() == kNamedHolders) {
      texts.push_back(fmt::format("and {} more", holders.size() - kNamedHolders));
      break;
    }
    std::string by;
    if (entry->jobs > 0) {
      by = fmt::format("{} running job{}", entry->jobs, entry->jobs == 1 ? "" : "s");
    }
    if (pinned(*entry)) by += by.empty() ? "pinned" : ", pinned";
    const auto& [file, slot, precision] = *entry->requests.begin();
    texts.push_back(fmt::format("{} of {} ({} MiB, {})", slot_name(slot),
                                std::filesystem::path(file.path).filename().string(),
                                entry->bytes >> 20, by));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::vector<LoadedModel> ResidentTable::list() const {
  std::vector<LoadedModel> models;
  for (const EntryPtr& entry : entries_) models.push_back(describe(*entry));
  return models;
}

LoadedModel ResidentTable::describe(const Entry& entry) const {
  std::set<std::string> paths;
  for (const Request& request : entry.requests) paths.insert(std::get<FileIdentity>(request).path);
  LoadedModel model;
  model.info = entry.model.info;
  model.paths = {paths.begin(), paths.end()};
  model.precision = entry.model.precision;
  model.device = device_;
  model.resident_bytes = entry.bytes;
  model.uses = entry.uses;
  model.jobs = entry.jobs;
  model.pinned = pinned(entry);
  return model;
}

const ResidentTable::Entry* ResidentTable::entry_of(const ResidentModel* model) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const EntryPtr& entry) { return &entry->model == model; });
  return found == entries_.end() ? nullptr : found->get();
}

bool ResidentTable::pinned(const Entry& entry) const {
  return std::ranges::any_of(pins_,
                             [&](const std::string& path) { return came_from(entry, path); });
}

}  // namespace luna::worker
