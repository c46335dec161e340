#include "daemon/worker/weights/parallel_reader.h"

#include <algorithm>
#include <system_error>

#include "common/hash/sha256.h"

namespace luna::worker {
namespace {

// Small enough to be hashed while still in the cache.
constexpr std::size_t kPiece = std::size_t{1} << 20;

Result<std::string> read_tensor(const TensorDestination& tensor) {
  Sha256 hash;
  for (std::size_t offset = 0; offset < tensor.bytes.size(); offset += kPiece) {
    const auto piece = tensor.bytes.subspan(offset, std::min(kPiece, tensor.bytes.size() - offset));
    LUNA_RETURN_IF_ERROR(tensor.file->read(*tensor.entry, offset, piece));
    hash.update(piece);
  }
  return hash.finish();
}

}  // namespace

ParallelReader::ParallelReader(std::vector<TensorDestination> tensors, std::size_t threads)
    : tensors_(std::move(tensors)), done_(tensors_.size()) {
  const std::size_t count =
      std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(tensors_.size(), 1));
  try {
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // Fewer threads do the same work; without any, next() reads itself.
  }
}

ParallelReader::~ParallelReader() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

Result<std::string> ParallelReader::next() {
  if (threads_.empty()) return read_tensor(tensors_[fetched_++]);
  std::unique_lock lock(mutex_);
  const std::size_t index = fetched_++;
  changed_.wait(lock, [&] { return done_[index].has_value(); });
  return *std::move(done_[index]);
}

void ParallelReader::work() {
  std::unique_lock lock(mutex_);
  while (!stop_ && claimed_ < tensors_.size()) {
    const std::size_t index = claimed_++;
    lock.unlock();
    Result<std::string> digest = read_tensor(tensors_[index]);
    lock.lock();
    done_[index].emplace(std::move(digest));
    changed_.notify_all();
  }
}

}  // namespace luna::worker
