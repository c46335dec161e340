#include "common/local/descriptors.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/resource.h>

#include "common/local/errno_status.h"

namespace luna {
namespace {

class DescriptorAlone final : public Bytes {
 public:
  explicit DescriptorAlone(UniqueFd fd) : fd_(std::move(fd)) {}
  std::span<const std::byte> view() const override { return {}; }
  int fd() const override { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace

BytesPtr descriptor_alone(UniqueFd fd) { return std::make_shared<DescriptorAlone>(std::move(fd)); }

Result<UniqueFd> duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return errno_status(errno, "duplicating a descriptor");
  return copy;
}

Result<std::size_t> raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return errno_status(errno, "reading the limit of open descriptors");
  }
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return errno_status(errno, "raising the limit of open descriptors");
    }
  }
  return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace luna
