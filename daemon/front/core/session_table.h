#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/types/info.h"
#include "common/types/tensor.h"

namespace luna::front {

/// Sessions and the tensors that they keep on the server. A tensor belongs to the session that made
/// it, within the workflow of the call that made it (an upload without a workflow: within any). Not
/// thread-safe.
class SessionTable {
 public:
  struct Limits {
    std::uint32_t sessions = 0;
    std::uint64_t bytes_per_session = 0;
    std::uint64_t bytes_per_workflow = 0;  ///< of all sessions together
  };
  explicit SessionTable(const Limits& limits) : limits_(limits) {}

  static constexpr std::size_t kMaxTensors = 65536;  ///< of one session

  /// The new session's id. RESOURCE_EXHAUSTED when there are as many as allowed.
  Result<std::string> open(const std::string& client_name);
  /// Frees its tensors; false when there is no such session.
  bool close(const std::string& session);
  /// NOT_FOUND for an id that is no open session.
  Status check(const std::string& session) const;
  const std::string& client_of(const std::string& session) const;

  /// Keeps `tensor` (host bytes, or none: zeros) and returns its reference. RESOURCE_EXHAUSTED
  /// beyond the session's or the workflow's quota, FAILED_PRECONDITION without a session, NOT_FOUND
  /// for one that has ended.
  Result<TensorRef> keep(const std::string& session, const std::string& workflow, TensorRef tensor);
  /// The kept tensor with its bytes. NOT_FOUND, PERMISSION_DENIED (another session's or
  /// workflow's).
  Result<TensorRef> find(const std::string& session, const std::string& workflow,
                         const std::string& id) const;
  /// All or nothing: the bytes that were freed, or the first failure as find() gives it.
  Result<std::uint64_t> free(const std::string& session, const std::string& workflow,
                             const std::vector<std::string>& ids);

  std::size_t sessions() const { return sessions_.size(); }
  /// Names and tensors of the open ones; nothing else is filled in.
  std::map<std::string, SessionInfo> list() const;
  std::uint64_t tensors() const { return tensors_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  /// Of the tensors that calls of this workflow made, whichever session owns them.
  std::uint64_t bytes_of_workflow(const std::string& workflow) const;

 private:
  struct Session {
    std::string client;
    std::uint64_t bytes = 0;
    std::set<std::string> tensors;
  };
  struct Kept {
    TensorRef tensor;
    std::string session, workflow;
  };
  /// Takes it out of the counts and out of the table; its bytes.
  std::uint64_t drop(const std::string& id);

  const Limits limits_;
  std::map<std::string, Session> sessions_;
  std::map<std::string, Kept> tensors_;
  std::uint64_t bytes_ = 0;
  std::map<std::string, std::uint64_t> bytes_by_workflow_;
};

}  // namespace luna::front
