#include "daemon/ipc/protocol/attachments.h"

#include <set>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/local/memory.h"
#include "daemon/ipc/protocol/codec.h"

namespace luna::ipc {
namespace {

BytesPtr sealed(std::size_t size) {
  return *std::move(*MemoryRegion::create("test", size)).finish();
}

std::set<int> descriptors_of(const std::vector<BytesPtr>& attachments) {
  std::set<int> descriptors;
  for (const BytesPtr& bytes : attachments) {
    if (bytes->fd() >= 0) descriptors.insert(bytes->fd());
  }
  return descriptors;
}

/// Bytes behind a descriptor that can still be truncated.
class UnsealedBytes final : public Bytes {
 public:
  explicit UnsealedBytes(std::string data)
      : fd_(::memfd_create("unsealed", MFD_CLOEXEC)), data_(std::move(data)) {}
  std::span<const std::byte> view() const override { return std::as_bytes(std::span(data_)); }
  int fd() const override { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::string data_;
};

TEST(PrepareAttachments, WhatHasASealedDescriptorIsNotCopied) {
  const std::vector<BytesPtr> attachments = {sealed(10), sealed(1 << 20)};
  EXPECT_EQ(prepare_attachments(attachments), attachments);
}

TEST(PrepareAttachments, ADescriptorThatIsNoMemoryIsLeftAlone) {
  const std::vector<BytesPtr> attachments = {
      descriptor_alone(UniqueFd(::memfd_create("unsealed", MFD_CLOEXEC))), sealed(10)};
  EXPECT_EQ(prepare_attachments(attachments), attachments);
}

TEST(PrepareAttachments, AllLargeOnesShareOneDescriptorAndKeepOrderAndContent) {
  std::vector<BytesPtr> attachments;
  for (char c = 'a'; c < 'a' + 20; ++c) {
    attachments.push_back(bytes_from(std::string(c % 2 == 0 ? kInlineAttachment + c : 100, c)));
  }
  const std::vector<BytesPtr> prepared = prepare_attachments(attachments);
  ASSERT_EQ(prepared.size(), attachments.size());
  EXPECT_EQ(descriptors_of(prepared).size(), 1u);
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(prepared[i]->view(), attachments[i]->view()));
  }
}

TEST(PrepareAttachments, ManySmallOnesGoByDescriptorBeyondTheInlineTotal) {
  const std::vector<BytesPtr> prepared = prepare_attachments(
      std::vector<BytesPtr>(100, bytes_from(std::string(kInlineAttachment, 'x'))));
  std::size_t inline_bytes = 0;
  for (const BytesPtr& bytes : prepared) {
    if (bytes->fd() < 0) inline_bytes += bytes->view().size();
  }
  EXPECT_LE(inline_bytes, kInlineTotal);
  EXPECT_EQ(descriptors_of(prepared).size(), 1u);
}

TEST(PrepareAttachments, MoreDescriptorsThanAFrameCarriesAreCopiedTogether) {
  std::vector<BytesPtr> attachments;
  for (int i = 0; i < 100; ++i) attachments.push_back(sealed(kInlineAttachment + 1));
  EXPECT_EQ(descriptors_of(prepare_attachments(attachments)).size(), kDescriptorsPerMessage);
}

TEST(PrepareAttachments, ADescriptorThatCouldShrinkIsReplacedByACopy) {
  const std::string content(kInlineAttachment * 2, 'u');
  const auto unsealed = std::make_shared<UnsealedBytes>(content);
  const std::vector<BytesPtr> prepared = prepare_attachments({unsealed});
  EXPECT_NE(prepared[0]->fd(), unsealed->fd());
  EXPECT_TRUE(sealed_against_shrinking(prepared[0]->fd()));
  EXPECT_TRUE(std::ranges::equal(prepared[0]->view(), unsealed->view()));
}

}  // namespace
}  // namespace luna::ipc
