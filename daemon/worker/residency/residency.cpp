#include "daemon/worker/residency/residency.h"

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include <fmt/ranges.h>

#include "common/log/log.h"
#include "common/model_files/model_files.h"
#include "daemon/worker/adapters/peft_config.h"
#include "daemon/worker/ops/parallel_threads.h"
#include "daemon/worker/precision/component_types.h"
#include "daemon/worker/residency/background_thread.h"
#include "daemon/worker/residency/overlay_maker.h"
#include "daemon/worker/residency/resident_table.h"
#include "daemon/worker/residency/restorable_models.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxWaitingLoads = 1024;
constexpr std::size_t kMaxKnownFiles = 256;
/// How long a load that finds no room keeps the others waiting before it steps back behind them.
constexpr std::chrono::milliseconds kTurn{20};

Precision precision_of(at::ScalarType storage) {
  if (storage == at::kHalf) return Precision::kF16;
  return storage == at::kBFloat16 ? Precision::kBF16 : Precision::kF32;
}

}  // namespace

/// What is behind Residency; handles keep it alive, so that letting go of one is always safe.
class Residency::Shelf : public std::enable_shared_from_this<Residency::Shelf> {
 public:
  Shelf(Options options, std::unique_ptr<ModelSource> source)
      : options_(std::move(options)),
        source_(std::move(source)),
        table_(options_.device.str()),
        overlays_(*source_, options_.device) {}

  void start() {
    thread_ = std::make_unique<BackgroundThread>(
        "luna-load", kMaxWaitingLoads, options_.prepare_thread, ops::end_parallel_threads);
    freeing_ = std::make_unique<BackgroundThread>("luna-free", kMaxWaitingLoads);
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    released_.notify_all();
    thread_.reset();
    freeing_.reset();
  }

  struct Wanted {
    Slot slot;
    ModelRef model;
    std::vector<AdapterUse> adapters;
    bool row_wise = false;
  };
  void acquire(const Wanted& wanted, const std::function<void(Result<ModelHandle>)>& done) {
    auto file = identify_model(wanted.model.path);
    if (!file.ok()) return done(file.status());
    auto adapters = identify_all(wanted);
    if (!adapters.ok()) return done(adapters.status());
    if (ModelHandle handle = resident({*file, wanted.slot, wanted.model.precision}, *adapters)) {
      return done(std::move(handle));
    }
    load_in_turn(wanted, Deadline::after(options_.hold_wait), done);
  }

  void inspect(const InspectModelRequest& request,
               std::function<void(Result<InspectModelReply>)> done) {
    const Status posted = thread_->post([this, request, done] { done(inspect_now(request)); });
    if (!posted.ok()) done(posted);
  }

  void unload(const UnloadModelRequest& request,
              const std::function<void(UnloadModelReply)>& done) {
    UnloadModelReply reply;
    auto dropped = std::make_shared<ResidentTable::Dropped>();
    {
      std::lock_guard lock(mutex_);
      *dropped = table_.unload(request.path, request.slot, reply);
      if (!request.restorable) restorable_.forget(request.path, request.slot);
      for (const ResidentTable::Kept& kept : *dropped) {
        const auto* entry = std::get_if<EntryPtr>(&kept);
        if (entry && request.restorable) note_restorable(**entry, request.path);
      }
    }
    // Giving gigabytes back takes a while, and the caller may be the device's thread.
    const auto free_them = [dropped, reply, done, after_freeing = options_.after_freeing] {
      dropped->clear();
      if (after_freeing && reply.freed_bytes > 0) after_freeing();
      done(reply);
    };
    if (!freeing_->post(free_them).ok()) free_them();
  }

  void restore(const RestoreModelRequest& request,
               std::function<void(Result<RestoreModelReply>)> done) {
    const Status posted = thread_->post([this, request, done] { done(restore_now(request)); });
    if (!posted.ok()) done(posted);
  }

  void pin(const std::vector<std::string>& paths) {
    {
      std::lock_guard lock(mutex_);
      table_.set_pins({paths.begin(), paths.end()});
    }
    released_.notify_all();
  }

  std::vector<LoadedModel> loaded() const {
    std::lock_guard lock(mutex_);
    return table_.list();
  }

  LoadedModel describe(const ModelHandle& model) const {
    std::lock_guard lock(mutex_);
    if (const auto* entry = table_.entry_of(model.get())) return table_.describe(*entry);
    LoadedModel gone;
    gone.info = model->info;
    gone.precision = model->precision;
    gone.device = options_.device.str();
    gone.resident_bytes = resident_bytes_of(model->model);
    return gone;
  }

  std::uint64_t resident_bytes() const {
    std::lock_guard lock(mutex_);
    return table_.bytes();
  }
  std::uint64_t overlay_bytes() const {
    std::lock_guard lock(mutex_);
    return table_.overlay_bytes();
  }
  OverlayMemoryUse overlay_memory_use() const { return overlays_.memory_use(); }
  std::uint64_t model_reads() const { return source_->reads(); }
  std::uint64_t adapter_reads() const { return overlays_.adapter_reads(); }

 private:
  using Request = ResidentTable::Request;
  using EntryPtr = ResidentTable::EntryPtr;
  using Adapters = ResidentTable::Adapters;

  ModelHandle hold(const EntryPtr& entry) {
    table_.use(*entry);
    return ModelHandle(&entry->model, [shelf = shared_from_this(), entry](const ResidentModel*) {
      {
        std::lock_guard lock(shelf->mutex_);
        --entry->jobs;
      }
      shelf->released_.notify_all();
    });
  }

  ModelHandle hold(const ResidentTable::OverlayPtr& overlay) {
    table_.use_overlay(*overlay);
    return ModelHandle(&overlay->model,
                       [shelf = shared_from_this(), overlay](const ResidentModel*) {
                         {
                           std::lock_guard lock(shelf->mutex_);
                           --overlay->jobs;
                         }
                         shelf->released_.notify_all();
                       });
  }

  ModelHandle resident(const Request& request) {
    std::lock_guard lock(mutex_);
    const EntryPtr entry = table_.find(request);
    return entry ? hold(entry) : nullptr;
  }
  ModelHandle resident(const Request& request, const Adapters& adapters) {
    if (adapters.in_order.empty()) return resident(request);
    std::lock_guard lock(mutex_);
    const auto overlay = table_.find_overlay(request, adapters);
    return overlay ? hold(overlay) : nullptr;
  }

  static Result<Adapters> identify_all(const Wanted& wanted) {
    Adapters adapters{{}, wanted.row_wise};
    for (const AdapterUse& use : wanted.adapters) {
      LUNA_ASSIGN_OR_RETURN(FileIdentity file, identify_adapter(use.path));
      adapters.in_order.push_back({std::move(file), use});
    }
    return adapters;
  }

  /// Hands out the copy of this content, if there is one, and remembers that the request leads to
  /// it.
  ModelHandle share(const std::string& hash, at::ScalarType storage, const Request& request) {
    ResidentTable::Dropped dropped;
    std::lock_guard lock(mutex_);
    const EntryPtr entry = table_.find_content(hash, std::get<Slot>(request), storage);
    if (!entry) return nullptr;
    dropped = forget_older(std::get<FileIdentity>(request));
    entry->requests.insert(request);
    return hold(entry);
  }

  ResidentTable::Dropped forget_older(const FileIdentity& file) {
    const auto outdated = [&](const FileIdentity& other) {
      return other.path == file.path && other != file;
    };
    std::erase_if(known_files_, [&](const auto& known) { return outdated(known.first); });
    std::erase_if(known_hashes_, [&](const auto& known) { return outdated(known.first.first); });
    return table_.forget_older(file);
  }

  Result<const std::vector<FoundComponent>*> components_of(const FileIdentity& file) {
    if (const auto known = known_files_.find(file); known != known_files_.end())
      return &known->second;
    LUNA_ASSIGN_OR_RETURN(auto found, source_->inspect(file.path));
    std::lock_guard lock(mutex_);
    if (known_files_.size() >= kMaxKnownFiles) {
      known_files_.clear();
      known_hashes_.clear();
    }
    return &known_files_.insert_or_assign(file, std::move(found)).first->second;
  }

  Result<InspectModelReply> inspect_now(const InspectModelRequest& request) {
    LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify_model(request.path));
    LUNA_ASSIGN_OR_RETURN(const auto* found, components_of(file));
    InspectModelReply reply;
    for (const FoundComponent& component : *found) {
      reply.components.push_back(component.detected.info);
      const auto hash = known_hashes_.find({file, component.detected.info.slot});
      if (hash != known_hashes_.end()) reply.components.back().content_hash = hash->second;
    }
    if (!request.tensors) return reply;
    LUNA_ASSIGN_OR_RETURN(const TensorDirectory directory, source_->directory(request.path));
    for (const auto& [name, spec] : directory.tensors) reply.tensors.push_back({name, spec});
    return reply;
  }

  /// Loads on the loading thread, when its turn comes and there is room, or answers why not.
  void load_in_turn(const Wanted& wanted, Deadline until,
                    const std::function<void(Result<ModelHandle>)>& done) {
    const Status posted = thread_->post([this, wanted, until, done] {
      auto handle = load(wanted.slot, wanted.model);
      if (handle.ok() && !wanted.adapters.empty()) handle = adapt(*handle, wanted);
      if (!room_may_come_ || until.expired()) return done(std::move(handle));
      load_in_turn(wanted, until, done);
    });
    if (!posted.ok()) done(posted);
  }

  /// On the loading thread. A file that changes while it is read is read once more, as the new one.
  Result<ModelHandle> load(Slot slot, const ModelRef& model) {
    constexpr int kAttempts = 2;
    room_may_come_ = false;
    for (int attempt = 1;; ++attempt) {
      LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify_model(model.path));
      const Request request{file, slot, model.precision};
      if (ModelHandle handle = resident(request)) return handle;
      auto loaded = load_file(request);
      const auto after = identify_model(model.path);
      if (after.ok() && *after == file) {
        if (loaded.ok()) restorable_.forget(model.path, slot, model.precision);
        return loaded;
      }
      if (attempt == kAttempts) {
        return error(StatusCode::kDataLoss, "model file {}: it changed while it was read, {} times",
                     model.path, kAttempts);
      }
    }
  }

  Result<ModelHandle> load_file(const Request& request) {
    const auto& [file, slot, precision] = request;
    LUNA_ASSIGN_OR_RETURN(const auto* components, components_of(file));
    LUNA_ASSIGN_OR_RETURN(const FoundComponent* found, component_for(*components, slot, file.path));
    const ComponentTypes types =
        component_types(precision, found->file_type, slot, options_.device);
    if (const auto hash = known_hashes_.find({file, slot}); hash != known_hashes_.end()) {
      if (ModelHandle handle = share(hash->second, types.storage, request)) return handle;
    }
    const std::uint64_t needed = found->bytes_as(types, options_.device);
    LUNA_RETURN_IF_ERROR(make_room(needed, request).status());
    while (true) {
      auto handle = place(request, *found, types);
      if (handle.status().code() != StatusCode::kResourceExhausted) return handle;
      // The device has less than the budget says.
      if (drop_longest_unused()) continue;
      std::lock_guard lock(mutex_);
      const std::string held = table_.held_in_words();
      return held.empty() ? handle.status()
                          : error(StatusCode::kResourceExhausted, "{}; in the way are: {}",
                                  handle.status().message(), held);
    }
  }

  Result<ModelHandle> place(const Request& request, const FoundComponent& found,
                            const ComponentTypes& types) {
    const auto& [file, slot, precision] = request;
    LUNA_ASSIGN_OR_RETURN(auto weights,
                          source_->read(file.path, found, types.storage, options_.device));
    const std::string hash = weights->content_hash();
    {
      std::lock_guard lock(mutex_);
      known_hashes_[{file, slot}] = hash;
    }
    if (ModelHandle handle = share(hash, types.storage, request)) return handle;

    LUNA_ASSIGN_OR_RETURN(
        Component built, source_->build(found, std::move(weights), types.compute, options_.device));
    auto entry = std::make_shared<ResidentTable::Entry>();
    entry->model = {std::move(built), found.detected.info, precision_of(types.storage), {}, {}};
    entry->model.info.content_hash = hash;
    entry->storage = types.storage;
    entry->requests.insert(request);
    entry->bytes = resident_bytes_of(entry->model.model);
    ResidentTable::Dropped older, evicted;
    std::lock_guard lock(mutex_);
    older = forget_older(file);
    table_.add(entry);
    ModelHandle handle = hold(entry);
    if (options_.budget_bytes > 0) evicted = table_.evict_until(options_.budget_bytes);
    return handle;
  }

  /// On the loading thread: what the adapters make of `base`.
  Result<ModelHandle> adapt(const ModelHandle& base, const Wanted& wanted) {
    LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify_model(wanted.model.path));
    const Request request{file, wanted.slot, wanted.model.precision};
    LUNA_ASSIGN_OR_RETURN(const Adapters adapters, identify_all(wanted));
    if (ModelHandle handle = resident(request, adapters)) return handle;
    LUNA_ASSIGN_OR_RETURN(const auto* components, components_of(file));
    LUNA_ASSIGN_OR_RETURN(const FoundComponent* found,
                          component_for(*components, wanted.slot, file.path));
    const ComponentTypes types =
        component_types(wanted.model.precision, found->file_type, wanted.slot, options_.device);
    LUNA_ASSIGN_OR_RETURN(const auto pristine, pristine_of(request, *found));
    LUNA_ASSIGN_OR_RETURN(OverlayMaker::Plan plan,
                          overlays_.plan(wanted.slot, pristine, types, adapters, *base));
    LUNA_ASSIGN_OR_RETURN(auto memory, memory_for(plan, request));
    LUNA_ASSIGN_OR_RETURN(const auto overlay,
                          overlays_.make(std::move(plan), *found, *base, std::move(memory)));
    ResidentTable::Dropped evicted, unused;
    std::lock_guard lock(mutex_);
    overlay->base = table_.find(request);
    if (!overlay->base || &overlay->base->model != base.get()) {
      return error(StatusCode::kDataLoss, "model file {}: it changed while it was adapted",
                   file.path);
    }
    table_.add_overlay(overlay);
    ModelHandle handle = hold(overlay);
    unused = table_.evict_overlays_until(options_.overlay_bytes);
    if (options_.budget_bytes > 0) evicted = table_.evict_until(options_.budget_bytes);
    return handle;
  }

  /// Makes room for an overlay. The memory that it can be written into is that of one that leaves
  /// for it, by any of three rules: the budget's, the limit of idle ones, or that passing strengths
  /// of one set keep two. nullptr when none leaves whose layout is the same.
  Result<std::shared_ptr<OverlayMemory>> memory_for(const OverlayMaker::Plan& plan,
                                                    const Request& request) {
    LUNA_ASSIGN_OR_RETURN(ResidentTable::Dropped leaving, make_room(plan.bytes, request));
    EntryPtr base;
    {
      std::lock_guard lock(mutex_);
      base = table_.find(request);
      if (!base) return std::shared_ptr<OverlayMemory>();
      const auto leave = [&](ResidentTable::Dropped more) {
        std::ranges::move(more, std::back_inserter(leaving));
      };
      leave(table_.drop_passing_strengths(base, plan.adapters));
      const std::uint64_t limit = options_.overlay_bytes;
      leave(table_.evict_overlays_until(limit - std::min(plan.bytes, limit)));
    }
    return ResidentTable::take_memory(leaving, base, plan.layout);
  }

  /// The base's weights as the file has them, kept with it for the next set.
  Result<std::shared_ptr<const HostWeights>> pristine_of(const Request& request,
                                                         const FoundComponent& found) {
    {
      std::lock_guard lock(mutex_);
      const EntryPtr entry = table_.find(request);
      if (entry && entry->pristine) return entry->pristine;
    }
    LUNA_ASSIGN_OR_RETURN(HostWeights read,
                          source_->pristine(std::get<FileIdentity>(request).path, found));
    auto pristine = std::make_shared<const HostWeights>(std::move(read));
    std::lock_guard lock(mutex_);
    if (const EntryPtr entry = table_.find(request)) entry->pristine = pristine;
    return pristine;
  }

  static Result<const FoundComponent*> component_for(const std::vector<FoundComponent>& components,
                                                     Slot slot, const std::string& path) {
    std::vector<std::string_view> names;
    for (const FoundComponent& component : components) {
      if (component.detected.info.slot == slot) return &component;
      names.push_back(slot_name(component.detected.info.slot));
    }
    return error(StatusCode::kFailedPrecondition, "model file {}: expected a {}, found {}", path,
                 slot_name(slot), fmt::join(names, ", "));
  }

  bool drop_longest_unused() {
    ResidentTable::Dropped dropped;
    std::lock_guard lock(mutex_);
    const std::uint64_t bytes = table_.bytes();
    if (bytes > 0) dropped = table_.evict_until(bytes - 1);
    return !dropped.empty();
  }

  /// Evicts under the budget, once what is held leaves room; nothing goes in vain. What went.
  Result<ResidentTable::Dropped> make_room(std::uint64_t bytes, const Request& request) {
    const std::uint64_t budget = options_.budget_bytes;
    if (budget == 0) return ResidentTable::Dropped();
    const auto& [file, slot, precision] = request;
    if (bytes > budget) {
      return error(StatusCode::kResourceExhausted,
                   "model file {}: its {} needs {} MiB, the worker's budget is {} MiB", file.path,
                   slot_name(slot), bytes >> 20, budget >> 20);
    }
    const std::uint64_t others = budget - bytes;
    std::unique_lock lock(mutex_);
    const auto settled = [&] {
      return stopping_ || table_.held_bytes() <= others || table_.pinned_bytes() > others;
    };
    room_may_come_ = !released_.wait_for(lock, kTurn, settled);
    if (stopping_) {
      return error(StatusCode::kUnavailable, "model file {}: the worker is shutting down",
                   file.path);
    }
    if (table_.held_bytes() <= others) return table_.evict_until(others);
    return error(StatusCode::kResourceExhausted,
                 "model file {}: its {} needs {} MiB of the worker's budget of {} MiB; in the way "
                 "are: {}",
                 file.path, slot_name(slot), bytes >> 20, budget >> 20, table_.held_in_words());
  }

  void note_restorable(const ResidentTable::Entry& entry, const std::string& path) {
    for (const auto& [file, slot, precision] : entry.requests) {
      if (file.path != path) continue;
      restorable_.forget(file.path, slot, precision);
      restorable_.remember(file.path, slot, precision);
    }
  }

  Result<RestoreModelReply> restore_now(const RestoreModelRequest& request) {
    RestoreModelReply reply;
    for (const auto& [slot, precision] : restorable_.of(request.path)) {
      LUNA_ASSIGN_OR_RETURN(const ModelHandle handle, load(slot, {request.path, precision}));
      reply.restored.push_back(describe(handle));
      reply.restored.back().jobs = 0;  // that one is this restoring itself
    }
    return reply;
  }

  const Options options_;
  const std::unique_ptr<ModelSource> source_;
  mutable std::mutex mutex_;
  std::condition_variable released_;
  bool stopping_ = false;
  ResidentTable table_;
  RestorableModels restorable_;
  /// The loading thread's: its last load found no room, and jobs that end may leave some.
  bool room_may_come_ = false;
  // Read by the loading thread alone, which holds the lock only to change them.
  std::map<FileIdentity, std::vector<FoundComponent>> known_files_;
  std::map<std::pair<FileIdentity, Slot>, std::string> known_hashes_;
  OverlayMaker overlays_;  ///< the loading thread's
  std::unique_ptr<BackgroundThread> thread_, freeing_;
};

Residency::Residency(Options options, std::unique_ptr<ModelSource> source)
    : shelf_(std::make_shared<Shelf>(std::move(options), std::move(source))) {
  shelf_->start();
}
Residency::~Residency() { shelf_->stop(); }

void Residency::acquire(Slot slot, const ModelRef& model, const std::vector<AdapterUse>& adapters,
                        std::function<void(Result<ModelHandle>)> done) {
  shelf_->acquire({slot, model, adapters}, done);
}
void Residency::acquire_rows(Slot slot, const ModelRef& model, const std::string& adapter,
                             std::function<void(Result<ModelHandle>)> done) {
  shelf_->acquire({slot, model, {{adapter, 1, {}}}, true}, done);
}
void Residency::inspect(const InspectModelRequest& request,
                        std::function<void(Result<InspectModelReply>)> done) {
  shelf_->inspect(request, std::move(done));
}
void Residency::unload(const UnloadModelRequest& request,
                       std::function<void(UnloadModelReply)> done) {
  shelf_->unload(request, std::move(done));
}
void Residency::restore(const RestoreModelRequest& request,
                        std::function<void(Result<RestoreModelReply>)> done) {
  shelf_->restore(request, std::move(done));
}
void Residency::pin(const std::vector<std::string>& paths) { shelf_->pin(paths); }
std::vector<LoadedModel> Residency::loaded() const { return shelf_->loaded(); }
LoadedModel Residency::describe(const ModelHandle& model) const { return shelf_->describe(model); }
std::uint64_t Residency::resident_bytes() const { return shelf_->resident_bytes(); }
std::uint64_t Residency::overlay_bytes() const { return shelf_->overlay_bytes(); }
OverlayMemoryUse Residency::overlay_memory_use() const { return shelf_->overlay_memory_use(); }
std::uint64_t Residency::model_reads() const { return shelf_->model_reads(); }
std::uint64_t Residency::adapter_reads() const { return shelf_->adapter_reads(); }

}  // namespace luna::worker
