#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/strong_id.h"
#include "common/types/tensor.h"

namespace luna::front {

/// What sessions may do on GPUs and have there: the devices whose memory was proved to pass between
/// the client and a worker, and leases of workers' outboxes. A lease lives in one life of one
/// worker: it ends with that, whatever a client still holds. Not thread-safe.
class CudaTable {
 public:
  static constexpr std::size_t kMaxLeases = 65536;      ///< of one session
  static constexpr std::size_t kMaxPendingProofs = 64;  ///< of one session

  /// A lease as its worker knows it.
  struct AtWorker {
    WorkerId worker;
    std::uint64_t life = 0;
    std::string lease_id;
  };
  using Releases = std::vector<AtWorker>;

  // --- proofs ---
  /// A worker wrote `expected` into this lease; confirm() tells whether the client read it there.
  Status expect(const std::string& session, const std::string& lease_id, std::string expected);
  /// The device that is proved from now on. NOT_FOUND for a lease without a question,
  /// FAILED_PRECONDITION for another number: then nothing is proved. The question is over either
  /// way.
  Result<std::string> confirm(const std::string& session, const std::string& lease_id,
                              const std::string& nonce);
  bool proved(const std::string& session, const std::string& device_uuid) const;
  std::vector<std::string> devices(const std::string& session) const;

  // --- leases ---
  /// Gives a lease that a worker made a name for clients. RESOURCE_EXHAUSTED beyond kMaxLeases.
  Status add(const std::string& session, WorkerId worker, std::uint64_t life, std::uint64_t bytes,
             CudaHandle& handle);
  /// NOT_FOUND, PERMISSION_DENIED (another session's), DATA_LOSS (its worker died).
  Status check(const std::string& session, const std::string& lease_id) const;
  bool knows(const std::string& lease_id) const { return leases_.contains(lease_id); }
  std::uint64_t bytes_of(const std::string& lease_id) const { return leases_.at(lease_id).bytes; }
  /// Jobs under way keep what they use: a lease that is freed meanwhile ends with the last of them.
  void begin_use(const std::vector<std::string>& lease_ids);
  Releases end_use(const std::vector<std::string>& lease_ids);
  Releases free(const std::vector<std::string>& lease_ids);
  Releases close(const std::string& session);
  /// Whether clients hold memory of this worker, which must live as long.
  bool holds(WorkerId worker) const;
  /// The leases of its lives up to now are lost.
  void worker_gone(WorkerId worker);

  std::size_t leases() const { return leases_.size(); }

 private:
  struct Lease {
    std::string session;
    AtWorker at;
    std::string device_uuid;
    std::uint64_t bytes = 0;
    std::uint32_t users = 0;
    bool freed = false;
    bool lost = false;
  };
  struct Session {
    std::set<std::string> proved;
    std::map<std::string, std::string> expected;  ///< by lease
    std::set<std::string> leases;
  };
  void end(std::map<std::string, Lease>::iterator lease, Releases& releases);

  std::map<std::string, Session> sessions_;
  std::map<std::string, Lease> leases_;
};

}  // namespace luna::front
