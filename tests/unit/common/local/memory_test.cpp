#include "common/local/memory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/local/descriptors.h"

namespace luna {
namespace {

using ::testing::HasSubstr;

BytesPtr finished(std::string_view content) {
  MemoryRegion region = *MemoryRegion::create("test", content.size());
  std::ranges::copy(std::as_bytes(std::span(content)), region.bytes().begin());
  return *std::move(region).finish();
}

std::string text_of(const BytesPtr& bytes) {
  return {reinterpret_cast<const char*>(bytes->view().data()), bytes->view().size()};
}

TEST(MemoryRegion, KeepsWhatWasWrittenAndTheDescriptorShowsTheSame) {
  const BytesPtr bytes = finished("hello");
  EXPECT_EQ(text_of(bytes), "hello");
  EXPECT_EQ(text_of(*map_received(*duplicate(bytes->fd()))), "hello");
}

TEST(MemoryRegion, ItsSizeIsFixedFromTheStart) {
  const MemoryRegion region = *MemoryRegion::create("test", 100);
  EXPECT_EQ(::ftruncate(region.fd(), 10), -1);
  EXPECT_EQ(::ftruncate(region.fd(), 1000), -1);
}

TEST(MemoryRegion, NobodyCanWriteOnceItIsFinished) {
  const BytesPtr bytes = finished("hello");
  EXPECT_EQ(::pwrite(bytes->fd(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fcntl(bytes->fd(), F_ADD_SEALS, F_SEAL_GROW), -1) << "the seals are sealed";
}

TEST(MemoryRegion, MayBeEmpty) { EXPECT_EQ(finished("")->view().size(), 0u); }

TEST(MemoryRegion, RefusesASizeThatCannotExist) {
  EXPECT_EQ(MemoryRegion::create("test", SIZE_MAX).status().code(), StatusCode::kInvalidArgument);
}

TEST(MapReceived, TakesMemoryThatIsStillWrittenAsLongAsItCannotShrink) {
  MemoryRegion region = *MemoryRegion::create("test", 3);
  const BytesPtr reader = *map_received(*duplicate(region.fd()));
  std::memcpy(region.bytes().data(), "abc", 3);
  EXPECT_EQ(text_of(reader), "abc");
}

TEST(MapReceived, RefusesWhatAPeerCouldTruncate) {
  UniqueFd shrinkable(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_FALSE(sealed_against_shrinking(shrinkable.get()));
  const Status status = map_received(std::move(shrinkable)).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("sealed against shrinking, found seals 0x0"));
}

TEST(MapReceived, RefusesWhatIsNoMemory) {
  UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(map_received(std::move(file)).status().message(), HasSubstr("without seals"));
}

TEST(SliceOf, SharesOwnerAndDescriptorAndKnowsItsOffset) {
  BytesPtr whole = finished("0123456789");
  const BytesPtr middle = *slice_of(whole, 2, 6);
  const BytesPtr inner = *slice_of(middle, 1, 2);
  const int fd = whole->fd();
  whole.reset();
  EXPECT_EQ(text_of(inner), "34");
  EXPECT_EQ(inner->fd(), fd);
  EXPECT_EQ(inner->fd_offset(), 3u);
}

TEST(SliceOf, OfEverythingIsTheThingItself) {
  const BytesPtr whole = bytes_from("abc");
  EXPECT_EQ(*slice_of(whole, 0, 3), whole);
}

TEST(MapShared, BothSidesSeeWhatEitherWrites) {
  MemoryRegion ours = *MemoryRegion::create("test", 4);
  const SharedMapping theirs = *map_shared(*duplicate(ours.fd()));
  EXPECT_FALSE(theirs.constant);
  ASSERT_EQ(theirs.writable.size(), 4u);
  ours.bytes()[0] = std::byte{'a'};
  theirs.writable[1] = std::byte{'b'};
  EXPECT_EQ(text_of(theirs.bytes).substr(0, 2), "ab");
  EXPECT_EQ(ours.bytes()[1], std::byte{'b'});
}

TEST(MapShared, WhatIsSealedIsConstantAndWhatMayOnlyBeReadIsNotWritten) {
  const BytesPtr sealed = finished("hello");
  const SharedMapping constant = *map_shared(*duplicate(sealed->fd()));
  EXPECT_TRUE(constant.constant);
  EXPECT_TRUE(constant.writable.empty());
  EXPECT_EQ(text_of(constant.bytes), "hello");
  const MemoryRegion region = *MemoryRegion::create("test", 4);
  const std::string path = fmt::format("/proc/self/fd/{}", region.fd());
  const SharedMapping read_only = *map_shared(UniqueFd(::open(path.c_str(), O_RDONLY)));
  EXPECT_FALSE(read_only.constant) << "its maker still writes";
  EXPECT_TRUE(read_only.writable.empty());
}

TEST(MapShared, RefusesMemoryThatCouldShrink) {
  UniqueFd shrinks(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(shrinks.get(), 100), 0);
  EXPECT_THAT(map_shared(std::move(shrinks)).status().message(),
              HasSubstr("sealed against shrinking"));
}

TEST(SliceOf, RefusesWhatIsOutsideEvenWhereNumbersWrapAround) {
  const BytesPtr whole = bytes_from("abc");
  EXPECT_FALSE(slice_of(whole, 1, 3).ok());
  EXPECT_FALSE(slice_of(whole, 4, 0).ok());
  EXPECT_FALSE(slice_of(whole, 1, UINT64_MAX).ok());
  EXPECT_FALSE(slice_of(whole, UINT64_MAX, 2).ok());
  EXPECT_TRUE(slice_of(whole, 3, 0).ok());
}

TEST(UniqueFd, ClosesWhatItOwnsAndNothingElse) {
  int raw = -1;
  {
    UniqueFd first = *duplicate(STDERR_FILENO);
    raw = first.get();
    UniqueFd second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.get(), raw);
    EXPECT_NE(::fcntl(raw, F_GETFD), -1);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(RaiseDescriptorLimit, NeverLowersIt) {
  const std::size_t limit = *raise_descriptor_limit();
  EXPECT_EQ(*raise_descriptor_limit(), limit);
}

}  // namespace
}  // namespace luna
