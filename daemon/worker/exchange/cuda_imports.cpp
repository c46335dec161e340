#include "daemon/worker/exchange/cuda_imports.h"

#include <cstring>
#include <utility>

#include "common/base/bytes.h"
#include "common/log/log.h"
#include "common/types/cuda_handle.h"

namespace luna::worker {
namespace {

void tell(const Status& status) {
  if (!status.ok()) log::logger("exchange").warn("{}", status.to_string());
}

}  // namespace

class CudaImports::State : public std::enable_shared_from_this<State> {
 public:
  State(CudaSharing& sharing, int device, Limits limits)
      : sharing_(sharing), device_(device), limits_(limits) {}

  ~State() {
    for (auto& [key, allocation] : allocations_) close(allocation);
    for (Event& event : events_) tell(sharing_.close_event(event.object));
  }

  Result<std::shared_ptr<const CudaMapping>> use(const CudaHandle& handle, std::uint64_t length,
                                                 const std::string& session) {
    std::lock_guard lock(mutex_);
    close_what_may();
    LUNA_ASSIGN_OR_RETURN(const Allocations::iterator at, find_or_open(handle));
    Allocation& allocation = at->second;
    if (Status fits = check_cuda_extent(handle, length, allocation.bytes); !fits.ok()) {
      if (allocation.sessions.empty()) allocation.doomed = true;
      close_what_may();
      return fits;
    }
    allocation.sessions.insert(session);
    allocation.doomed = false;
    allocation.last_used = ++clock_;
    if (!handle.event_handle.empty()) LUNA_RETURN_IF_ERROR(wait_for(handle.event_handle));
    ++allocation.users;
    return std::shared_ptr<const CudaMapping>(std::make_shared<Mapping>(
        shared_from_this(), at->first, static_cast<char*>(allocation.base) + handle.offset));
  }

  void end_session(const std::string& session) {
    std::lock_guard lock(mutex_);
    for (auto& [key, allocation] : allocations_) {
      if (allocation.sessions.erase(session) > 0 && allocation.sessions.empty())
        allocation.doomed = true;
    }
    close_what_may();
  }

  void sweep() {
    std::lock_guard lock(mutex_);
    close_what_may();
  }

  std::size_t open_allocations() const {
    std::lock_guard lock(mutex_);
    return allocations_.size();
  }
  Counters counters() const {
    std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  /// The handle's bytes, or the region's name; a first byte tells them apart.
  using Key = std::string;
  struct Allocation {
    void* base = nullptr;
    std::uint64_t bytes = 0;
    bool by_descriptor = false;
    std::size_t users = 0;
    std::set<std::string> sessions;
    std::uint64_t last_used = 0;
    bool doomed = false;   ///< to be closed as soon as it may
    void* mark = nullptr;  ///< after the work of its users so far
  };
  using Allocations = std::map<Key, Allocation>;
  struct Event {
    std::string handle;
    void* object = nullptr;
  };

  class Mapping final : public CudaMapping {
   public:
    Mapping(std::shared_ptr<State> state, Key key, void* data)
        : state_(std::move(state)), key_(std::move(key)), data_(data) {}
    ~Mapping() override { state_->end_use(key_); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    void* data() const override { return data_; }
    int device() const override { return state_->device_; }

   private:
    const std::shared_ptr<State> state_;
    const Key key_;
    void* const data_;
  };

  static Key key_of(const CudaHandle& handle) {
    return handle.descriptor ? "r" + handle.region_id : "h" + handle.handle;
  }

  Result<Allocations::iterator> find_or_open(const CudaHandle& handle) {
    const Key key = key_of(handle);
    if (const auto known = allocations_.find(key); known != allocations_.end()) {
      ++counters_.hits;
      return known;
    }
    if (allocations_.size() >= limits_.allocations) LUNA_RETURN_IF_ERROR(make_room());
    Allocation allocation;
    allocation.by_descriptor = handle.descriptor != nullptr;
    if (allocation.by_descriptor) {
      LUNA_ASSIGN_OR_RETURN(allocation.base, sharing_.map_descriptor(handle.descriptor->fd(),
                                                                     handle.allocation_size));
      allocation.bytes = handle.allocation_size;
    } else {
      LUNA_ASSIGN_OR_RETURN(allocation.base, sharing_.open_memory(handle.handle));
      const Result<std::uint64_t> bytes = sharing_.allocation_bytes(allocation.base);
      if (!bytes.ok()) {
        tell(sharing_.close_memory(allocation.base));
        return bytes.status();
      }
      allocation.bytes = *bytes;
    }
    ++counters_.opened;
    return allocations_.emplace(key, std::move(allocation)).first;
  }

  /// Closes the one that was not used for the longest time.
  Status make_room() {
    auto oldest = allocations_.end();
    for (auto at = allocations_.begin(); at != allocations_.end(); ++at) {
      if (at->second.users > 0) continue;
      if (oldest == allocations_.end() || at->second.last_used < oldest->second.last_used)
        oldest = at;
    }
    if (oldest == allocations_.end()) {
      return error(StatusCode::kResourceExhausted,
                   "{} allocations of clients are in use on this device, as many as may be; retry "
                   "in 100 ms",
                   allocations_.size());
    }
    close(oldest->second);
    allocations_.erase(oldest);
    return {};
  }

  Status wait_for(const std::string& handle) {
    for (auto at = events_.begin(); at != events_.end(); ++at) {
      if (at->handle != handle) continue;
      events_.splice(events_.begin(), events_, at);
      break;
    }
    if (events_.empty() || events_.front().handle != handle) {
      LUNA_ASSIGN_OR_RETURN(void* const object, sharing_.open_event(handle));
      ++counters_.events_opened;
      events_.push_front({handle, object});
      if (events_.size() > limits_.events) {
        tell(sharing_.close_event(events_.back().object));
        events_.pop_back();
      }
    }
    ++counters_.event_waits;
    return sharing_.wait_event(events_.front().object);
  }

  void end_use(const Key& key) {
    std::lock_guard lock(mutex_);
    Allocation& allocation = allocations_.at(key);
    if (--allocation.users > 0) return;
    if (allocation.mark) sharing_.drop(allocation.mark);
    const Result<void*> mark = sharing_.mark();
    tell(mark.status());
    allocation.mark = mark.ok() ? *mark : nullptr;
    close_what_may();
  }

  void close_what_may() {
    for (auto at = allocations_.begin(); at != allocations_.end();) {
      Allocation& allocation = at->second;
      if (!allocation.doomed || allocation.users > 0 || !is_passed(allocation)) {
        ++at;
        continue;
      }
      close(allocation);
      at = allocations_.erase(at);
    }
  }

  bool is_passed(const Allocation& allocation) {
    if (!allocation.mark) return true;
    const Result<bool> passed = sharing_.passed(allocation.mark);
    return !passed.ok() || *passed;  // a device that answers nothing runs nothing either
  }

  void close(Allocation& allocation) {
    if (void* const mark = std::exchange(allocation.mark, nullptr)) {
      tell(sharing_.wait(mark));
      sharing_.drop(mark);
    }
    tell(allocation.by_descriptor ? sharing_.unmap_descriptor(allocation.base, allocation.bytes)
                                  : sharing_.close_memory(allocation.base));
    ++counters_.closed;
  }

  CudaSharing& sharing_;
  const int device_;
  const Limits limits_;
  mutable std::mutex mutex_;
  Allocations allocations_;
  std::list<Event> events_;  ///< the last used first
  std::uint64_t clock_ = 0;
  Counters counters_;
};

CudaImports::CudaImports(CudaSharing& sharing, int device, Limits limits)
    : state_(std::make_shared<State>(sharing, device, limits)) {}

CudaImports::~CudaImports() = default;

Result<std::shared_ptr<const CudaMapping>> CudaImports::use(const CudaHandle& handle,
                                                            std::uint64_t length,
                                                            const std::string& session) {
  return state_->use(handle, length, session);
}

void CudaImports::end_session(const std::string& session) { state_->end_session(session); }
void CudaImports::sweep() { state_->sweep(); }
std::size_t CudaImports::open_allocations() const { return state_->open_allocations(); }
CudaImports::Counters CudaImports::counters() const { return state_->counters(); }

}  // namespace luna::worker
