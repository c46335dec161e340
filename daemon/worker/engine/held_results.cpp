#include "daemon/worker/engine/held_results.h"

#include <utility>

namespace luna::worker {
namespace {

class CountedBytes final : public Bytes {
 public:
  CountedBytes(BytesPtr bytes, std::shared_ptr<HeldBytes> held)
      : bytes_(std::move(bytes)), held_(std::move(held)) {
    *held_ += bytes_->view().size();
  }
  ~CountedBytes() override { *held_ -= bytes_->view().size(); }
  CountedBytes(const CountedBytes&) = delete;
  CountedBytes& operator=(const CountedBytes&) = delete;

  std::span<const std::byte> view() const override { return bytes_->view(); }
  int fd() const override { return bytes_->fd(); }
  std::size_t fd_offset() const override { return bytes_->fd_offset(); }

 private:
  const BytesPtr bytes_;
  const std::shared_ptr<HeldBytes> held_;
};

}  // namespace

BytesMaker counting(BytesMaker make, std::shared_ptr<HeldBytes> held) {
  return [make = std::move(make), held = std::move(held)](
             std::size_t size,
             const std::function<void(std::span<std::byte>)>& fill) -> Result<BytesPtr> {
    LUNA_ASSIGN_OR_RETURN(BytesPtr bytes, make(size, fill));
    return BytesPtr(std::make_shared<const CountedBytes>(std::move(bytes), held));
  };
}

}  // namespace luna::worker
