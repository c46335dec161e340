#include "common/local/memory.h"

#include <cerrno>
#include <cstdint>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/local/errno_status.h"

namespace luna {
namespace {

/// Read-only memory behind a descriptor that cannot shrink.
class MappedBytes final : public Bytes {
 public:
  MappedBytes(UniqueFd fd, Mapping mapping) : fd_(std::move(fd)), mapping_(std::move(mapping)) {}
  std::span<const std::byte> view() const override { return mapping_.bytes(); }
  int fd() const override { return fd_.get(); }

 private:
  UniqueFd fd_;
  Mapping mapping_;
};

class SliceBytes final : public Bytes {
 public:
  SliceBytes(BytesPtr whole, std::size_t offset, std::size_t size)
      : whole_(std::move(whole)), offset_(offset), view_(whole_->view().subspan(offset, size)) {}
  std::span<const std::byte> view() const override { return view_; }
  int fd() const override { return whole_->fd(); }
  std::size_t fd_offset() const override { return whole_->fd_offset() + offset_; }

 private:
  BytesPtr whole_;
  std::size_t offset_;
  std::span<const std::byte> view_;
};

Result<Mapping> map_descriptor(int fd, std::size_t size, int protection, int flags) {
  if (size == 0) return Mapping();
  void* data = ::mmap(nullptr, size, protection, flags, fd, 0);
  if (data == MAP_FAILED) {
    return errno_status(errno, fmt::format("mapping {} bytes of shared memory", size));
  }
  return Mapping(data, size);
}

/// A private mapping shares the pages as well, and kernels before 6.7 allow no other of
/// write-sealed memory.
int read_only_flags(int seals) { return (seals & F_SEAL_WRITE) != 0 ? MAP_PRIVATE : MAP_SHARED; }

}  // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Mapping::reset() {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

Result<MemoryRegion> MemoryRegion::create(const std::string& name, std::size_t size) {
  if (size > static_cast<std::size_t>(PTRDIFF_MAX)) {
    return error(StatusCode::kInvalidArgument, "shared memory of {} bytes cannot exist", size);
  }
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return errno_status(errno, "making a memory descriptor");
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return errno_status(errno, fmt::format("reserving {} bytes of shared memory", size));
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return errno_status(errno, "sealing the size of a memory descriptor");
  }
  LUNA_ASSIGN_OR_RETURN(Mapping mapping,
                        map_descriptor(fd.get(), size, PROT_READ | PROT_WRITE, MAP_SHARED));
  return MemoryRegion(std::move(fd), std::move(mapping));
}

BytesPtr MemoryRegion::share() && {
  return std::make_shared<MappedBytes>(std::move(fd_), std::move(mapping_));
}

Result<BytesPtr> MemoryRegion::finish() && {
  const std::size_t size = mapping_.bytes().size();
  mapping_.reset();
  if (::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return errno_status(errno, "sealing a memory descriptor");
  }
  LUNA_ASSIGN_OR_RETURN(Mapping mapping,
                        map_descriptor(fd_.get(), size, PROT_READ, read_only_flags(F_SEAL_WRITE)));
  return BytesPtr(std::make_shared<MappedBytes>(std::move(fd_), std::move(mapping)));
}

bool sealed_against_shrinking(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

bool sealed_against_writing(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

Result<std::uint64_t> received_size(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return error(
        StatusCode::kInvalidArgument,
        "expected a memory descriptor sealed against shrinking, found {}",
        seals < 0 ? std::string("a descriptor without seals") : fmt::format("seals {:#x}", seals));
  }
  struct statfs system{};
  if (::fstatfs(fd, &system) != 0) return errno_status(errno, "reading a descriptor's kind");
  if (system.f_type != TMPFS_MAGIC) {
    return error(StatusCode::kInvalidArgument,
                 "expected a memory descriptor of ordinary pages, found one of huge pages");
  }
  // The size is read after the seal: from there on it cannot become smaller.
  struct stat info{};
  if (::fstat(fd, &info) != 0) return errno_status(errno, "reading a descriptor's size");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<BytesPtr> map_received(UniqueFd fd) {
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t size, received_size(fd.get()));
  const int flags = read_only_flags(::fcntl(fd.get(), F_GET_SEALS));
  LUNA_ASSIGN_OR_RETURN(Mapping mapping, map_descriptor(fd.get(), size, PROT_READ, flags));
  return BytesPtr(std::make_shared<MappedBytes>(std::move(fd), std::move(mapping)));
}

Result<SharedMapping> map_shared(UniqueFd fd) {
  LUNA_ASSIGN_OR_RETURN(const std::uint64_t size, received_size(fd.get()));
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  const int access = ::fcntl(fd.get(), F_GETFL);
  SharedMapping shared;
  shared.constant = (seals & F_SEAL_WRITE) != 0;
  const bool read_only = shared.constant || (seals & F_SEAL_FUTURE_WRITE) != 0 ||
                         (access >= 0 && (access & O_ACCMODE) == O_RDONLY);
  LUNA_ASSIGN_OR_RETURN(
      Mapping mapping,
      map_descriptor(fd.get(), size, read_only ? PROT_READ : PROT_READ | PROT_WRITE,
                     read_only_flags(seals)));
  if (!read_only) shared.writable = mapping.bytes();
  shared.bytes = std::make_shared<MappedBytes>(std::move(fd), std::move(mapping));
  return shared;
}

Result<BytesPtr> slice_of(BytesPtr whole, std::uint64_t offset, std::uint64_t size) {
  const std::size_t available = whole->view().size();
  if (offset > available || size > available - offset) {
    return error(StatusCode::kInvalidArgument, "bytes {} to {}+{} of {} that are there", offset,
                 offset, size, available);
  }
  if (offset == 0 && size == available) return whole;
  return BytesPtr(std::make_shared<SliceBytes>(std::move(whole), offset, size));
}

}  // namespace luna
