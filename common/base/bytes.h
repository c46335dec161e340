#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace luna {

/// Immutable bytes with a shared owner: a string, a memory descriptor, a slice of one.
/// Where they come from a descriptor, fd() hands it on without a copy.
class Bytes {
 public:
  virtual ~Bytes() = default;
  virtual std::span<const std::byte> view() const = 0;
  /// The descriptor behind view(), or -1. Owned by this object. view() begins at fd_offset() in it.
  virtual int fd() const { return -1; }
  virtual std::size_t fd_offset() const { return 0; }
};
using BytesPtr = std::shared_ptr<const Bytes>;

BytesPtr bytes_from(std::string data);
BytesPtr bytes_copy_of(std::span<const std::byte> data);

}  // namespace luna
