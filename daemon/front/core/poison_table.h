#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "daemon/front/core/clock.h"

namespace luna::front {

/// What is held against requests, by fingerprint: under how many deaths of workers they were
/// running, and which are refused for it (docs/decisions/0006-poison-requests.md). Finite, and
/// everything in it expires. Not thread-safe.
class PoisonTable {
 public:
  static constexpr std::size_t kCapacity = 1024;
  static constexpr std::size_t kDeathsToConvict = 2;

  explicit PoisonTable(std::chrono::minutes lifetime, std::size_t capacity = kCapacity)
      : lifetime_(lifetime), capacity_(capacity) {}

  /// A worker hung under the request: it runs alone from now on.
  void suspect(const std::string& fingerprint, TimePoint now);
  /// A worker died by a fault of its own (`how`) under the request. True when that convicts it: the
  /// second death, and the request was `alone` on the worker.
  bool blame(const std::string& fingerprint, const std::string& how, bool alone, TimePoint now);
  /// The request ran to an end: nothing is held against it any more. A refusal stays.
  void clear(const std::string& fingerprint);

  /// Must the request run alone?
  bool suspected(const std::string& fingerprint, TimePoint now) const;
  /// FAILED_PRECONDITION with the reason and the time that is left, for a convicted request. Not
  /// INVALID_ARGUMENT, since it is well-formed and may be served after an update or with another
  /// model file; and not UNAVAILABLE, which clients answer by trying again at once.
  Status refusal(const std::string& fingerprint, TimePoint now) const;

  void expire(TimePoint now);
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::vector<std::string> deaths;  ///< how the workers ended; kDeathsToConvict at most
    bool convicted = false;
    TimePoint expires;
  };
  Entry& entry(const std::string& fingerprint, TimePoint now);
  const Entry* find(const std::string& fingerprint, TimePoint now) const;

  std::chrono::minutes lifetime_;
  std::size_t capacity_;
  std::map<std::string, Entry> entries_;
};

}  // namespace luna::front
