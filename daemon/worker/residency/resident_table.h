#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/file_identity.h"
#include "common/types/host_weights.h"
#include "common/types/job.h"
#include "daemon/worker/adapters/overlay_memory.h"
#include "daemon/worker/residency/residency.h"

namespace luna::worker {

/// What is in the memory of one device: each content and storage type once, however many files lead
/// to it, and the overlays that adapters make of it, which go with it. Says what may go, the
/// longest unused first; what a job or a pin holds never may. Not thread-safe.
///
/// Whatever leaves the table is handed out, so that its memory is freed where the caller likes, not
/// under the caller's lock.
class ResidentTable {
 public:
  /// (file, slot, precision as it was asked for)
  using Request = std::tuple<FileIdentity, Slot, Precision>;
  struct Adapter {
    FileIdentity file;
    AdapterUse use;
    bool operator==(const Adapter&) const = default;
  };
  struct Adapters {
    std::vector<Adapter> in_order;
    bool row_wise = false;  ///< the factors of one adapter, at strength 1
    bool operator==(const Adapters&) const = default;
    /// The same files in the same order, merged both.
    bool differs_in_strengths_alone(const Adapters& other) const;
  };
  struct Entry {
    ResidentModel model;
    at::ScalarType storage = at::kFloat;
    std::set<Request> requests;  ///< that lead to it
    /// For adapters to start from, once they did; mostly the front's host copy.
    std::shared_ptr<const HostWeights> pristine;
    std::uint64_t bytes = 0;
    std::uint64_t uses = 0, last_use = 0;
    std::uint32_t jobs = 0;  ///< that hold it
    /// Sets whose overlays went for another strength of theirs, the latest last.
    std::deque<Adapters> given_up;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  /// A model that adapters made of an entry's, which shares weights with it; or the entry's own
  /// with an adapter for single rows.
  struct Overlay {
    ResidentModel model;
    EntryPtr base;
    Adapters adapters;
    std::shared_ptr<OverlayMemory> memory;  ///< of a merged one, in which its weights lie
    std::uint64_t bytes = 0;                ///< beyond what it shares
    std::uint64_t last_use = 0;
    std::uint32_t jobs = 0;
    bool came_back = false;  ///< its set was used again after another set of the base was
  };
  using OverlayPtr = std::shared_ptr<Overlay>;
  /// Memory that may go, kept until the caller lets go of it.
  using Kept = std::variant<EntryPtr, OverlayPtr>;
  using Dropped = std::vector<Kept>;

  explicit ResidentTable(std::string device) : device_(std::move(device)) {}

  /// nullptr when it is not here.
  EntryPtr find(const Request& request) const;
  EntryPtr find_content(const std::string& hash, Slot slot, at::ScalarType storage) const;
  void add(EntryPtr entry) { entries_.push_back(std::move(entry)); }
  /// A job begins to hold it; the caller counts it down.
  void use(Entry& entry);

  /// nullptr when there is none, or the entry is not here either.
  OverlayPtr find_overlay(const Request& request, const Adapters& adapters) const;
  /// Its base must be here.
  void add_overlay(OverlayPtr overlay);
  void use_overlay(Overlay& overlay);
  std::uint64_t overlay_bytes() const;
  /// Drops idle overlays, the longest unused first, until they take at most `limit` bytes.
  Dropped evict_overlays_until(std::uint64_t limit);
  /// Drops the idle overlays of `base` that are `next` at other strengths and have not come back,
  /// all but the one used last: strengths that are new with every call leave two overlays behind.
  /// Nothing where `next` was itself dropped so: then its set comes back, and there shall be room
  /// for one more.
  Dropped drop_passing_strengths(const EntryPtr& base, const Adapters& next);
  /// The memory of one of `dropped`, which the table no longer has, that lay over `base` in this
  /// layout; the overlay is taken apart. nullptr: there is none.
  static std::shared_ptr<OverlayMemory> take_memory(Dropped& dropped, const EntryPtr& base,
                                                    const OverlayLayout& layout);

  /// Another identity of the same path is a file that is no longer there. What nothing else leads
  /// to goes, held or not.
  Dropped forget_older(const FileIdentity& file);
  /// Drops what nothing holds, the longest unused first, until at most `limit` bytes are here or
  /// nothing is left that may go.
  Dropped evict_until(std::uint64_t limit);
  /// Drops what came from this path, and of it only `slot` when that is given; `reply` says what
  /// went and what is held.
  Dropped unload(const std::string& path, std::optional<Slot> slot, UnloadModelReply& reply);

  /// All files whose components must stay, loaded or not; replaces the former ones.
  void set_pins(std::set<std::string> paths) { pins_ = std::move(paths); }

  std::uint64_t bytes() const;
  /// Of what jobs and pins hold.
  std::uint64_t held_bytes() const;
  /// Of what the pins hold, which no waiting helps against.
  std::uint64_t pinned_bytes() const;
  /// "unet of a.safetensors (900 MiB, 2 running jobs), ...": what may not go, the largest first.
  std::string held_in_words() const;
  std::vector<LoadedModel> list() const;
  LoadedModel describe(const Entry& entry) const;
  /// nullptr for a model that is no longer here.
  const Entry* entry_of(const ResidentModel* model) const;

 private:
  bool pinned(const Entry& entry) const;
  bool held(const Entry& entry) const;
  std::vector<OverlayPtr>::iterator oldest_idle_overlay();
  /// Those over this entry, which must go with it.
  void drop_overlays(const EntryPtr& base, Dropped& dropped);
  template <class Condition>
  Dropped drop_if(Condition condition);

  const std::string device_;
  std::uint64_t clock_ = 0;
  std::vector<EntryPtr> entries_;
  std::vector<OverlayPtr> overlays_;
  std::set<std::string> pins_;
};

}  // namespace luna::worker
