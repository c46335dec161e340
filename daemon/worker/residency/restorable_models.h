#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/types/model.h"

namespace luna::worker {

/// What was taken off the device so that it can be brought back: the last 256. Thread-safe.
class RestorableModels {
 public:
  static constexpr std::size_t kMost = 256;

  void remember(const std::string& path, Slot slot, Precision precision);
  void forget(const std::string& path, Slot slot, Precision precision);
  /// In every precision; without a slot, all of the file.
  void forget(const std::string& path, std::optional<Slot> slot);
  std::vector<std::pair<Slot, Precision>> of(const std::string& path) const;

 private:
  mutable std::mutex mutex_;
  std::deque<std::tuple<std::string, Slot, Precision>> models_;  ///< the oldest first
};

}  // namespace luna::worker
