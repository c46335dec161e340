#include "daemon/ipc/protocol/attachments.h"

#include <cstring>
#include <set>

#include "common/local/memory.h"
#include "daemon/ipc/protocol/codec.h"

namespace luna::ipc {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

/// The same bytes without the descriptor that the peer would refuse to map.
class WithoutDescriptor final : public Bytes {
 public:
  explicit WithoutDescriptor(BytesPtr bytes) : bytes_(std::move(bytes)) {}
  std::span<const std::byte> view() const override { return bytes_->view(); }

 private:
  BytesPtr bytes_;
};

/// Copies of `sources`, as slices of one sealed memory descriptor.
Result<std::vector<BytesPtr>> in_one_region(const std::vector<BytesPtr>& sources) {
  std::size_t total = 0;
  for (const BytesPtr& source : sources) total += aligned(source->view().size());
  LUNA_ASSIGN_OR_RETURN(MemoryRegion region, MemoryRegion::create("luna-tensors", total));
  std::size_t offset = 0;
  for (const BytesPtr& source : sources) {
    const auto view = source->view();
    if (!view.empty()) std::memcpy(region.bytes().data() + offset, view.data(), view.size());
    offset += aligned(view.size());
  }
  LUNA_ASSIGN_OR_RETURN(const BytesPtr whole, std::move(region).finish());
  std::vector<BytesPtr> copies;
  copies.reserve(sources.size());
  offset = 0;
  for (const BytesPtr& source : sources) {
    const std::size_t size = source->view().size();
    LUNA_ASSIGN_OR_RETURN(BytesPtr copy, slice_of(whole, offset, size));
    copies.push_back(std::move(copy));
    offset += aligned(size);
  }
  return copies;
}

}  // namespace

std::vector<BytesPtr> prepare_attachments(std::vector<BytesPtr> attachments) {
  std::set<int> descriptors;
  std::size_t inline_total = 0;
  std::vector<std::size_t> to_copy;
  for (std::size_t i = 0; i < attachments.size(); ++i) {
    BytesPtr& bytes = attachments[i];
    if (const int fd = bytes->fd(); fd >= 0) {
      const bool known = descriptors.contains(fd);
      // One place is kept for the region that holds the copies.
      const bool room = known || descriptors.size() + 1 < kDescriptorsPerMessage;
      if (room && (known || bytes->view().empty() || sealed_against_shrinking(fd))) {
        descriptors.insert(fd);
        continue;
      }
      bytes = std::make_shared<WithoutDescriptor>(bytes);
    }
    const std::size_t size = bytes->view().size();
    if (size > kInlineAttachment || inline_total + size > kInlineTotal) {
      to_copy.push_back(i);
    } else {
      inline_total += size;
    }
  }
  if (to_copy.empty()) return attachments;
  std::vector<BytesPtr> sources;
  sources.reserve(to_copy.size());
  for (const std::size_t i : to_copy) sources.push_back(attachments[i]);
  if (Result<std::vector<BytesPtr>> copies = in_one_region(sources); copies.ok()) {
    for (std::size_t i = 0; i < to_copy.size(); ++i) attachments[to_copy[i]] = (*copies)[i];
  }
  return attachments;
}

}  // namespace luna::ipc
