#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/types/info.h"
#include "common/types/job.h"
#include "daemon/front/core/deferred.h"
#include "daemon/front/core/region_table.h"
#include "daemon/front/core/session_planes.h"

namespace luna::front {

struct FrontState;

/// Shared memory of sessions, for the local socket and for the calls: who has the plane, the
/// regions, and results that leave as such. Thread-safe.
class PlaneDesk {
 public:
  /// Results above this are regions where the session has the plane; smaller ones are faster inside
  /// the reply.
  static constexpr std::size_t kRegionBytes = 64 * 1024;

  explicit PlaneDesk(std::shared_ptr<FrontState> state) : state_(std::move(state)) {}

  // --- the way to the plane; see SessionPlanes ---
  /// New sessions are offered this socket.
  void serve(std::string socket_path);
  void stop(std::string why);
  std::optional<SessionPlanes::Offer> offer(const std::string& session) const;
  Result<std::string> claim(const std::string& token, std::function<void()> on_end);
  Status prove(const std::string& session);
  /// The local socket of this session is gone: so are its regions and the results that nobody took.
  void lose(const std::string& session, std::string why);
  std::vector<std::string> planes(const std::string& session) const;

  // --- regions of a session; errors as RegionTable's, and NOT_FOUND once it has ended ---
  Status check_room(const std::string& session, std::uint64_t bytes) const;
  /// `memory` is the client's to write.
  Result<std::string> add(const std::string& session, BytesPtr memory);
  Result<std::uint64_t> release(const std::string& session, const std::vector<std::string>& ids);
  Result<BytesPtr> take(const std::string& session, const std::string& id);

  // --- tensors of calls ---
  /// The tensor with bytes that nobody can change any more: as they lie in the region when it is
  /// sealed against writing and holds little else, else a copy.
  Result<TensorRef> read(const std::string& session, TensorSpec spec, const SharedRegion& place);
  /// Puts the tensors of a reply above kRegionBytes into regions where the session has the plane
  /// and room. Their ids, for drop().
  std::vector<std::string> hand_over(const std::string& session, JobReply& reply);
  /// The same for one tensor with bytes; nullopt when it stays where it is.
  std::optional<SharedRegion> hand_over(const std::string& session, const TensorRef& tensor);
  /// Of these results, those that were not taken: their reply did not reach the client.
  void drop(const std::string& session, const std::vector<std::string>& ids);

  // With FrontState::mutex held.
  void end(const std::string& session, Deferred& after);
  void tell_fallbacks(Deferred& after);
  std::vector<SessionInfo> list() const;

 private:
  std::optional<SharedRegion> add_result(const std::string& session, const TensorRef& tensor);

  const std::shared_ptr<FrontState> state_;
};

}  // namespace luna::front
