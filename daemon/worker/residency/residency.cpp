#include "daemon/worker/residency/residency.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/ranges.h>

#include "daemon/worker/precision/component_types.h"
#include "daemon/worker/residency/background_thread.h"
#include "common/local/identify.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxWaitingLoads = 1024;
constexpr std::size_t kMaxKnownFiles = 256;

Precision precision_of(at::ScalarType storage) {
  if (storage == at::kHalf) return Precision::kF16;
  return storage == at::kBFloat16 ? Precision::kBF16 : Precision::kF32;
}

}  // namespace

/// The table behind Residency; handles keep it alive, so that letting go of one is always safe.
class Residency::Shelf : public std::enable_shared_from_this<Residency::Shelf> {
 public:
  Shelf(Options options, std::unique_ptr<ModelSource> source)
      : options_(std::move(options)), source_(std::move(source)) {}

  void start() {
    thread_ =
        std::make_unique<BackgroundThread>("luna-load", kMaxWaitingLoads, options_.prepare_thread);
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    unpinned_.notify_all();
    thread_.reset();
  }

  void acquire(Slot slot, const ModelRef& model, std::function<void(Result<ModelHandle>)> done) {
    auto file = identify(model.path);
    if (!file.ok()) return done(file.status());
    if (ModelHandle handle = resident(slot, model.precision, *file)) return done(std::move(handle));
    const Status posted = thread_->post([this, slot, model, done] { done(load(slot, model)); });
    if (!posted.ok()) done(posted);
  }

  void inspect(const std::string& path,
               std::function<void(Result<std::vector<ComponentInfo>>)> done) {
    const Status posted = thread_->post([this, path, done] { done(inspect_now(path)); });
    if (!posted.ok()) done(posted);
  }

  std::uint64_t unload(const std::string& path) {
    std::lock_guard lock(mutex_);
    std::uint64_t freed = 0;
    std::erase_if(entries_, [&](const std::shared_ptr<Entry>& entry) {
      if (entry->pins > 0 || !entry->came_from(path)) return false;
      freed += entry->bytes;
      return true;
    });
    return freed;
  }

  std::vector<LoadedModel> loaded() const {
    std::lock_guard lock(mutex_);
    std::vector<LoadedModel> models;
    for (const auto& entry : entries_) models.push_back(describe(*entry));
    return models;
  }

  LoadedModel describe(const ModelHandle& model) const {
    std::lock_guard lock(mutex_);
    for (const auto& entry : entries_) {
      if (&entry->model == model.get()) return describe(*entry);
    }
    return {model->info,
            {},
            model->precision,
            options_.device.str(),
            resident_bytes_of(model->model),
            0};
  }

  std::uint64_t resident_bytes() const {
    std::lock_guard lock(mutex_);
    return total_bytes();
  }

 private:
  /// (file, slot, precision as it was asked for)
  using Request = std::tuple<FileIdentity, Slot, Precision>;
  struct Entry {
    ResidentModel model;
    at::ScalarType storage = at::kFloat;
    std::set<Request> requests;
    std::uint64_t bytes = 0, uses = 0, last_use = 0;
    int pins = 0;

    bool came_from(const std::string& path) const {
      return std::any_of(requests.begin(), requests.end(), [&](const Request& request) {
        return std::get<FileIdentity>(request).path == path;
      });
    }
  };

  LoadedModel describe(const Entry& entry) const {
    std::set<std::string> paths;
    for (const Request& request : entry.requests)
      paths.insert(std::get<FileIdentity>(request).path);
    return {entry.model.info,      {paths.begin(), paths.end()},
            entry.model.precision, options_.device.str(),
            entry.bytes,           entry.uses};
  }

  std::uint64_t total_bytes() const {
    std::uint64_t total = 0;
    for (const auto& entry : entries_) total += entry->bytes;
    return total;
  }

  ModelHandle pin(const std::shared_ptr<Entry>& entry) {
    ++entry->pins;
    ++entry->uses;
    entry->last_use = ++clock_;
    return ModelHandle(&entry->model, [shelf = shared_from_this(), entry](const ResidentModel*) {
      {
        std::lock_guard lock(shelf->mutex_);
        --entry->pins;
      }
      shelf->unpinned_.notify_all();
    });
  }

  ModelHandle resident(Slot slot, Precision precision, const FileIdentity& file) {
    std::lock_guard lock(mutex_);
    const Request request{file, slot, precision};
    for (const auto& entry : entries_) {
      if (entry->requests.contains(request)) return pin(entry);
    }
    return nullptr;
  }

  /// Hands out the copy of this content, if there is one, and remembers that the request leads to
  /// it.
  ModelHandle share(const std::string& hash, at::ScalarType storage, const Request& request) {
    std::lock_guard lock(mutex_);
    for (const auto& entry : entries_) {
      if (entry->model.info.content_hash == hash &&
          entry->model.info.slot == std::get<Slot>(request) && entry->storage == storage) {
        forget_older(request);
        entry->requests.insert(request);
        return pin(entry);
      }
    }
    return nullptr;
  }

  /// Another identity of the same path is a file that is no longer there. What nothing else leads
  /// to goes.
  void forget_older(const Request& request) {
    const FileIdentity& file = std::get<FileIdentity>(request);
    const auto outdated = [&](const FileIdentity& other) {
      return other.path == file.path && other != file;
    };
    for (const auto& entry : entries_) {
      std::erase_if(entry->requests,
                    [&](const Request& old) { return outdated(std::get<FileIdentity>(old)); });
    }
    std::erase_if(entries_,
                  [](const std::shared_ptr<Entry>& entry) { return entry->requests.empty(); });
    std::erase_if(known_files_, [&](const auto& known) { return outdated(known.first); });
    std::erase_if(known_hashes_, [&](const auto& known) { return outdated(known.first.first); });
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

  Result<std::vector<ComponentInfo>> inspect_now(const std::string& path) {
    LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify(path));
    LUNA_ASSIGN_OR_RETURN(const auto* found, components_of(file));
    std::vector<ComponentInfo> infos;
    for (const FoundComponent& component : *found) {
      infos.push_back(component.detected.info);
      const auto hash = known_hashes_.find({file, component.detected.info.slot});
      if (hash != known_hashes_.end()) infos.back().content_hash = hash->second;
    }
    return infos;
  }

  /// On the loading thread. A file that changes while it is read is read once more, as the new one.
  Result<ModelHandle> load(Slot slot, const ModelRef& model) {
    constexpr int kAttempts = 2;
    for (int attempt = 1;; ++attempt) {
      LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify(model.path));
      const Request request{file, slot, model.precision};
      if (ModelHandle handle = resident(slot, model.precision, file)) return handle;
      auto loaded = load_file(request);
      const auto after = identify(model.path);
      if (after.ok() && *after == file) return loaded;
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
    const auto [storage, compute] =
        component_types(precision, found->file_type, slot, options_.device);
    if (const auto hash = known_hashes_.find({file, slot}); hash != known_hashes_.end()) {
      if (ModelHandle handle = share(hash->second, storage, request)) return handle;
    }
    LUNA_RETURN_IF_ERROR(make_room(found->bytes_as(storage), file.path));
    LUNA_ASSIGN_OR_RETURN(auto weights, source_->read(file.path, *found, storage, options_.device));
    const std::string hash = weights->content_hash();
    {
      std::lock_guard lock(mutex_);
      known_hashes_[{file, slot}] = hash;
    }
    if (ModelHandle handle = share(hash, storage, request)) return handle;

    LUNA_ASSIGN_OR_RETURN(Component built,
                          source_->build(*found, std::move(weights), compute, options_.device));
    auto entry = std::make_shared<Entry>();
    entry->model = {std::move(built), found->detected.info, precision_of(storage)};
    entry->model.info.content_hash = hash;
    entry->storage = storage;
    entry->requests.insert(request);
    entry->bytes = resident_bytes_of(entry->model.model);
    std::lock_guard lock(mutex_);
    forget_older(request);
    entries_.push_back(entry);
    ModelHandle handle = pin(entry);
    evict_until(options_.budget_bytes);
    return handle;
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

  /// Drops unpinned models, the longest unused first, until at most `limit` bytes are resident.
  /// False: pins forbid it.
  bool evict_until(std::uint64_t limit) {
    if (options_.budget_bytes == 0) return true;
    while (total_bytes() > limit) {
      auto oldest = entries_.end();
      for (auto it = entries_.begin(); it != entries_.end(); ++it) {
        if ((*it)->pins > 0) continue;
        if (oldest == entries_.end() || (*it)->last_use < (*oldest)->last_use) oldest = it;
      }
      if (oldest == entries_.end()) return false;
      entries_.erase(oldest);
    }
    return true;
  }

  Status make_room(std::uint64_t bytes, const std::string& path) {
    const std::uint64_t budget = options_.budget_bytes;
    if (budget == 0) return {};
    if (bytes > budget) {
      return error(StatusCode::kResourceExhausted,
                   "model file {}: it needs {} MiB, the worker's budget is {} MiB", path,
                   bytes >> 20, budget >> 20);
    }
    std::unique_lock lock(mutex_);
    const bool room = unpinned_.wait_for(lock, options_.pin_wait,
                                         [&] { return stopping_ || evict_until(budget - bytes); });
    if (stopping_)
      return error(StatusCode::kUnavailable, "model file {}: the worker is shutting down", path);
    if (room) return {};
    return error(
        StatusCode::kResourceExhausted,
        "model file {}: it needs {} MiB of a budget of {} MiB, and {} MiB are held by running jobs",
        path, bytes >> 20, budget >> 20, total_bytes() >> 20);
  }

  const Options options_;
  const std::unique_ptr<ModelSource> source_;
  mutable std::mutex mutex_;
  std::condition_variable unpinned_;
  bool stopping_ = false;
  std::uint64_t clock_ = 0;
  std::vector<std::shared_ptr<Entry>> entries_;
  // Read by the loading thread alone, which holds the lock only to change them.
  std::map<FileIdentity, std::vector<FoundComponent>> known_files_;
  std::map<std::pair<FileIdentity, Slot>, std::string> known_hashes_;
  std::unique_ptr<BackgroundThread> thread_;
};

Residency::Residency(Options options, std::unique_ptr<ModelSource> source)
    : shelf_(std::make_shared<Shelf>(std::move(options), std::move(source))) {
  shelf_->start();
}
Residency::~Residency() { shelf_->stop(); }

void Residency::acquire(Slot slot, const ModelRef& model,
                        std::function<void(Result<ModelHandle>)> done) {
  shelf_->acquire(slot, model, std::move(done));
}
void Residency::inspect(const std::string& path,
                        std::function<void(Result<std::vector<ComponentInfo>>)> done) {
  shelf_->inspect(path, std::move(done));
}
std::uint64_t Residency::unload(const std::string& path) { return shelf_->unload(path); }
std::vector<LoadedModel> Residency::loaded() const { return shelf_->loaded(); }
LoadedModel Residency::describe(const ModelHandle& model) const { return shelf_->describe(model); }
std::uint64_t Residency::resident_bytes() const { return shelf_->resident_bytes(); }

}  // namespace luna::worker
