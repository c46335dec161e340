#include "daemon/worker/exchange/cuda_outbox.h"

#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "common/log/log.h"
#include "daemon/worker/exchange/slab_space.h"

namespace luna::worker {

class CudaOutbox::State : public std::enable_shared_from_this<State> {
 public:
  State(CudaSharing& sharing, int device, std::string device_uuid, std::uint64_t bytes)
      : sharing_(sharing),
        device_(device),
        device_uuid_(std::move(device_uuid)),
        bytes_(bytes),
        space_(bytes) {}

  ~State() {
    for (auto& [id, piece] : pieces_) idle_events_.push_back(std::move(piece.event));
    for (const CudaSharing::Exported& event : idle_events_) {
      if (event.object) (void)sharing_.close_event(event.object);
    }
    if (slab_.object) (void)sharing_.free(slab_.object);
  }

  Result<Lease> lease(std::uint64_t bytes, const std::string& session) {
    if (bytes == 0) return error(StatusCode::kInvalidArgument, "a lease of 0 bytes");
    std::lock_guard lock(mutex_);
    const std::optional<std::uint64_t> offset = space_.take(bytes);
    if (!offset) {
      return error(StatusCode::kResourceExhausted,
                   "the outbox of {} has no {} bytes: {} of {} are free, the largest piece has {}",
                   device_uuid_, bytes, space_.free_bytes(), bytes_, space_.largest_free());
    }
    if (!slab_.object) {
      Result<CudaSharing::Exported> slab = sharing_.allocate(bytes_);
      if (!slab.ok()) {
        space_.give_back(*offset, bytes);
        return slab.status().with_context("the outbox");
      }
      slab_ = *std::move(slab);
    }
    const std::string id = std::to_string(++last_id_);
    pieces_.emplace(id, Piece{*offset, bytes, session, 0, false, {}});
    by_offset_.emplace(*offset, id);
    return Lease{{device_uuid_, slab_.handle, bytes_, *offset, {}, id},
                 static_cast<char*>(slab_.object) + *offset};
  }

  Status publish(Lease& lease) {
    std::lock_guard lock(mutex_);
    const auto piece = pieces_.find(lease.handle.lease_id);
    if (piece == pieces_.end())
      return error(StatusCode::kNotFound, "lease {} has ended", lease.handle.lease_id);
    CudaSharing::Exported& event = piece->second.event;
    if (!event.object) {
      if (idle_events_.empty()) {
        LUNA_ASSIGN_OR_RETURN(event, sharing_.make_event());
      } else {
        event = std::move(idle_events_.back());
        idle_events_.pop_back();
      }
    }
    LUNA_RETURN_IF_ERROR(sharing_.record_event(event.object));
    lease.handle.event_handle = event.handle;
    return {};
  }

  bool owns(const CudaHandle& handle) const {
    std::lock_guard lock(mutex_);
    return slab_.object && handle.handle == slab_.handle;
  }

  Result<std::shared_ptr<const CudaMapping>> use(const CudaHandle& handle, std::uint64_t length,
                                                 const std::string& session) {
    std::lock_guard lock(mutex_);
    const auto after = by_offset_.upper_bound(handle.offset);
    if (after == by_offset_.begin()) return no_lease(handle);
    const std::string id = std::prev(after)->second;
    Piece& piece = pieces_.at(id);
    const std::uint64_t into = handle.offset - piece.offset;
    if (into >= piece.bytes || piece.released) return no_lease(handle);
    if (piece.session != session) {
      return error(StatusCode::kPermissionDenied,
                   "the memory at offset {} of the outbox is another session's", handle.offset);
    }
    if (length > piece.bytes - into) {
      return error(StatusCode::kInvalidArgument,
                   "{} bytes from offset {} do not lie within the lease of {} bytes at {}", length,
                   handle.offset, piece.bytes, piece.offset);
    }
    ++piece.users;
    return std::shared_ptr<const CudaMapping>(std::make_shared<Mapping>(
        shared_from_this(), id, static_cast<char*>(slab_.object) + handle.offset));
  }

  void release(const std::vector<std::string>& ids) {
    std::lock_guard lock(mutex_);
    for (const std::string& id : ids) end_lease(id);
  }

  void end_session(const std::string& session) {
    std::lock_guard lock(mutex_);
    std::vector<std::string> ids;
    for (const auto& [id, piece] : pieces_) {
      if (piece.session == session) ids.push_back(id);
    }
    for (const std::string& id : ids) end_lease(id);
  }

  std::uint64_t free_bytes() const {
    std::lock_guard lock(mutex_);
    return space_.free_bytes();
  }
  std::size_t leases() const {
    std::lock_guard lock(mutex_);
    return pieces_.size();
  }

 private:
  struct Piece {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::string session;
    std::size_t users = 0;
    bool released = false;
    CudaSharing::Exported event;
  };

  class Mapping final : public CudaMapping {
   public:
    Mapping(std::shared_ptr<State> state, std::string id, void* data)
        : state_(std::move(state)), id_(std::move(id)), data_(data) {}
    ~Mapping() override { state_->end_use(id_); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    void* data() const override { return data_; }
    int device() const override { return state_->device_; }

   private:
    const std::shared_ptr<State> state_;
    const std::string id_;
    void* const data_;
  };

  static Status no_lease(const CudaHandle& handle) {
    return error(StatusCode::kNotFound,
                 "no lease lies at offset {} of the outbox: it was released, or never was",
                 handle.offset);
  }

  void end_use(const std::string& id) {
    std::lock_guard lock(mutex_);
    Piece& piece = pieces_.at(id);
    if (--piece.users == 0 && piece.released) drop(id);
  }

  void end_lease(const std::string& id) {
    const auto found = pieces_.find(id);
    if (found == pieces_.end()) return;
    found->second.released = true;
    if (found->second.users == 0) drop(id);
  }

  /// What this worker still has to do there is on the stream before whatever is written there next.
  void drop(const std::string& id) {
    const auto found = pieces_.find(id);
    Piece piece = std::move(found->second);
    pieces_.erase(found);
    by_offset_.erase(piece.offset);
    space_.give_back(piece.offset, piece.bytes);
    if (piece.event.object) idle_events_.push_back(std::move(piece.event));
  }

  CudaSharing& sharing_;
  const int device_;
  const std::string device_uuid_;
  const std::uint64_t bytes_;
  mutable std::mutex mutex_;
  CudaSharing::Exported slab_;
  SlabSpace space_;
  std::map<std::string, Piece> pieces_;
  std::map<std::uint64_t, std::string> by_offset_;
  std::vector<CudaSharing::Exported> idle_events_;
  std::uint64_t last_id_ = 0;
};

CudaOutbox::CudaOutbox(CudaSharing& sharing, int device, std::string device_uuid,
                       std::uint64_t bytes)
    : state_(std::make_shared<State>(sharing, device, std::move(device_uuid), bytes)) {}

CudaOutbox::~CudaOutbox() = default;

Result<CudaOutbox::Lease> CudaOutbox::lease(std::uint64_t bytes, const std::string& session) {
  return state_->lease(bytes, session);
}
Status CudaOutbox::publish(Lease& lease) { return state_->publish(lease); }
bool CudaOutbox::owns(const CudaHandle& handle) const { return state_->owns(handle); }
Result<std::shared_ptr<const CudaMapping>> CudaOutbox::use(const CudaHandle& handle,
                                                           std::uint64_t length,
                                                           const std::string& session) {
  return state_->use(handle, length, session);
}
void CudaOutbox::release(const std::vector<std::string>& lease_ids) { state_->release(lease_ids); }
void CudaOutbox::end_session(const std::string& session) { state_->end_session(session); }
std::uint64_t CudaOutbox::free_bytes() const { return state_->free_bytes(); }
std::size_t CudaOutbox::leases() const { return state_->leases(); }

}  // namespace luna::worker
