#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/unique_fd.h"

namespace luna {

/// A range of mapped memory that unmaps itself.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* data, std::size_t size) : data_(data), size_(size) {}
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { reset(); }

  void reset();
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Anonymous memory with a descriptor (memfd), writable while it is filled. From the start its size
/// is sealed, so whoever receives the descriptor may map it without fear of a fault.
class MemoryRegion {
 public:
  /// `name` shows up in /proc/<pid>/maps. RESOURCE_EXHAUSTED when memory or descriptors are used
  /// up.
  static Result<MemoryRegion> create(const std::string& name, std::size_t size);

  std::span<std::byte> bytes() { return mapping_.bytes(); }
  int fd() const { return fd_.get(); }

  /// The memory as those see it who may not write; who kept bytes() goes on writing as long as the
  /// result lives.
  BytesPtr share() &&;

  /// Ends the writing: the content is sealed and nobody, the maker included, can change it any
  /// more.
  Result<BytesPtr> finish() &&;

 private:
  MemoryRegion(UniqueFd fd, Mapping mapping) : fd_(std::move(fd)), mapping_(std::move(mapping)) {}
  UniqueFd fd_;
  Mapping mapping_;
};

/// True when nobody can make the memory behind `fd` smaller: only then is it safe to map for
/// another process.
bool sealed_against_shrinking(int fd);

/// Nobody can write to the memory behind `fd` any more.
bool sealed_against_writing(int fd);

/// Size of the memory behind a received descriptor, from now on the least that it will ever have.
/// INVALID_ARGUMENT for anything but a memfd that is sealed against shrinking, huge pages among
/// them: where those are short, to read them is SIGBUS.
Result<std::uint64_t> received_size(int fd);

/// Maps all of a received descriptor read-only. INVALID_ARGUMENT unless it is memory that is sealed
/// against shrinking (a peer could otherwise truncate it, and reading would end in SIGBUS). The
/// content is immutable only when the sender sealed writing too; without that seal it may change
/// while it is read.
Result<BytesPtr> map_received(UniqueFd fd);

/// Another process's memory, mapped so that both may write where that is allowed.
struct SharedMapping {
  BytesPtr bytes;
  std::span<std::byte> writable;  ///< all of it, or nothing when it may only be read
  bool constant = false;          ///< sealed: nobody can change it any more
};
/// As map_received(), and writable where the sender left it so. What the other side does meanwhile
/// shows at once: nothing that was read there may be relied on a second time.
Result<SharedMapping> map_shared(UniqueFd fd);

/// `size` bytes of `whole` from `offset` on; shares its owner and its descriptor. INVALID_ARGUMENT
/// when out of range.
Result<BytesPtr> slice_of(BytesPtr whole, std::uint64_t offset, std::uint64_t size);

}  // namespace luna
