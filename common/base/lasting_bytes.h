#pragma once

#include <utility>

#include "common/base/bytes.h"

namespace luna {

/// Bytes that nobody can change, and that somebody will name again: what is made of them is worth
/// keeping as long as this object lives.
class LastingBytes final : public Bytes {
 public:
  explicit LastingBytes(BytesPtr bytes) : bytes_(std::move(bytes)) {}
  std::span<const std::byte> view() const override { return bytes_->view(); }

 private:
  BytesPtr bytes_;
};

inline bool is_lasting(const Bytes& bytes) {
  return dynamic_cast<const LastingBytes*>(&bytes) != nullptr;
}

}  // namespace luna
