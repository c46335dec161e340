#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "daemon/worker/formats/safetensors_file.h"

namespace luna::worker {

/// A tensor of a file, and the memory of exactly its size that its bytes go to.
struct TensorDestination {
  const SafetensorsFile* file = nullptr;
  const SafetensorsEntry* entry = nullptr;
  std::span<std::byte> bytes;
};

/// Reads and hashes tensors of one or more files on a few threads, into memory that the caller
/// provides.
class ParallelReader {
 public:
  /// The files, the entries and the memory must outlive the reader.
  ParallelReader(std::vector<TensorDestination> tensors, std::size_t threads);
  /// Stops reading.
  ~ParallelReader();
  ParallelReader(const ParallelReader&) = delete;
  ParallelReader& operator=(const ParallelReader&) = delete;

  /// The hex SHA-256 of the next tensor's bytes, in the order asked for, once they are in place; or
  /// what reading them met: DATA_LOSS. At most one call a tensor.
  Result<std::string> next();

 private:
  void work();

  const std::vector<TensorDestination> tensors_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<Result<std::string>>> done_;
  std::size_t claimed_ = 0;
  std::size_t fetched_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace luna::worker
