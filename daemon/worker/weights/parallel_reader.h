#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/formats/safetensors_file.h"

namespace luna::worker {

/// A tensor as it lies in the file, in memory of its own, and the hex SHA-256 of its bytes.
struct RawTensor {
  at::Tensor tensor;
  std::string digest;
};

/// Reads and hashes tensors of one file on a few threads, and hands them out in the order asked
/// for. At most `kAhead` tensors wait to be fetched, so that a slow taker bounds the memory.
class ParallelReader {
 public:
  static constexpr std::size_t kAhead = 16;

  /// `file` and the entries must outlive the reader.
  ParallelReader(const SafetensorsFile& file, std::vector<const SafetensorsEntry*> entries,
                 std::size_t threads);
  /// Stops reading; what was not fetched is dropped.
  ~ParallelReader();
  ParallelReader(const ParallelReader&) = delete;
  ParallelReader& operator=(const ParallelReader&) = delete;

  /// The next tensor, or what reading it met: DATA_LOSS, RESOURCE_EXHAUSTED. At most one call an
  /// entry.
  Result<RawTensor> next();

 private:
  void work();
  Result<RawTensor> read(const SafetensorsEntry& entry) const;

  const SafetensorsFile& file_;
  const std::vector<const SafetensorsEntry*> entries_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<Result<RawTensor>>> done_;
  std::size_t claimed_ = 0;
  std::size_t fetched_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace luna::worker
