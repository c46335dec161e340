#include "daemon/worker/weights/parallel_reader.h"

#include <algorithm>
#include <system_error>

#include "daemon/worker/ops/scalar_types.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/sha256.h"

namespace luna::worker {
namespace {

// Small enough to be hashed while still in the cache.
constexpr std::size_t kPiece = std::size_t{1} << 20;

Result<RawTensor> read_tensor(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  // A bool's byte may be anything in a file; only 0 and 1 are values.
  const bool as_bool = entry.spec.dtype == DType::kBool;
  const at::ScalarType type = as_bool ? at::kByte : scalar_type_of(entry.spec.dtype);
  RawTensor raw;
  raw.tensor = at::empty(entry.spec.shape, at::TensorOptions().dtype(type).device(at::kCPU));
  auto* const begin = static_cast<std::byte*>(raw.tensor.data_ptr());
  const std::size_t size = raw.tensor.nbytes();
  Sha256 hash;
  for (std::size_t offset = 0; offset < size; offset += kPiece) {
    const std::span<std::byte> piece(begin + offset, std::min(kPiece, size - offset));
    LUNA_RETURN_IF_ERROR(file.read(entry, offset, piece));
    hash.update(piece);
  }
  raw.digest = hash.finish();
  if (as_bool) raw.tensor = raw.tensor.ne(0);
  return raw;
}

}  // namespace

ParallelReader::ParallelReader(const SafetensorsFile& file,
                               std::vector<const SafetensorsEntry*> entries, std::size_t threads)
    : file_(file), entries_(std::move(entries)), done_(entries_.size()) {
  const std::size_t count =
      std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(entries_.size(), 1));
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
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<RawTensor> ParallelReader::next() {
  if (threads_.empty()) return read(*entries_[fetched_++]);
  std::unique_lock lock(mutex_);
  const std::size_t index = fetched_;
  changed_.wait(lock, [&] { return done_[index].has_value(); });
  Result<RawTensor> raw = std::move(*done_[index]);
  done_[index].reset();
  ++fetched_;
  changed_.notify_all();
  return raw;
}

Result<RawTensor> ParallelReader::read(const SafetensorsEntry& entry) const {
  return torch_call(fmt::format("{}: reading tensor '{}'", file_.path(), entry.name),
                    [&] { return read_tensor(file_, entry); });
}

void ParallelReader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(
        lock, [&] { return stop_ || claimed_ == entries_.size() || claimed_ < fetched_ + kAhead; });
    if (stop_ || claimed_ == entries_.size()) return;
    const std::size_t index = claimed_++;
    lock.unlock();
    Result<RawTensor> raw = read(*entries_[index]);
    lock.lock();
    done_[index].emplace(std::move(raw));
    changed_.notify_all();
  }
}

}  // namespace luna::worker
