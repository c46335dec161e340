#include "common/local/frame.h"

#include <cstring>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/local/descriptors.h"
#include "common/local/frame_channel.h"
#include "common/local/little_endian.h"
#include "common/local/memory.h"

namespace luna {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint16_t kVersion = 3;

std::string bytes_of(const WireFrame& wire, std::size_t from = 0) {
  std::string all;
  for (std::size_t at = from; at < wire.size();) {
    std::array<iovec, 2> pieces;
    const std::size_t count = wire.pieces_from(at, pieces);
    for (std::size_t i = 0; i < count; ++i) {
      all.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      at += pieces[i].iov_len;
    }
  }
  return all;
}

std::string text_of(const BytesPtr& bytes) {
  return {reinterpret_cast<const char*>(bytes->view().data()), bytes->view().size()};
}

std::span<const std::byte> raw(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string a_frame(std::string body, std::vector<BytesPtr> attachments = {}) {
  return bytes_of(*WireFrame::lay_out({kVersion, 5, std::move(body), std::move(attachments)}));
}

/// A header with one field replaced.
template <class T>
std::string header_with(std::size_t offset, T value) {
  std::string header = a_frame("");
  std::memcpy(header.data() + offset, &value, sizeof(value));
  return header;
}

Status status_of(std::string_view bytes, std::vector<UniqueFd> descriptors = {}) {
  return FrameDecoder(kVersion).feed(raw(bytes), std::move(descriptors));
}

TEST(Frame, ComesOutAsItWentInHoweverTheBytesAreCut) {
  const std::string stream = a_frame("first", {bytes_from("seven b"), bytes_from("")}) +
                             a_frame("") + a_frame("third", {bytes_from(std::string(100, 'z'))});
  for (std::size_t cut = 1; cut <= stream.size(); ++cut) {
    FrameDecoder decoder(kVersion);
    std::vector<Frame> frames;
    for (std::size_t at = 0; at < stream.size(); at += cut) {
      ASSERT_TRUE(decoder.feed(raw(std::string_view(stream).substr(at, cut))).ok());
      while (auto frame = decoder.next()) frames.push_back(std::move(*frame));
    }
    ASSERT_EQ(frames.size(), 3u);
    EXPECT_TRUE(decoder.at_boundary());
    EXPECT_EQ(frames[0].message, 5u);
    EXPECT_EQ(frames[0].body, "first");
    const auto attachments = *take_attachments(frames[0]);
    EXPECT_EQ(text_of(attachments.at(0)), "seven b");
    EXPECT_EQ(text_of(attachments.at(1)), "");
    EXPECT_EQ(frames[1].body, "");
    EXPECT_EQ(text_of(take_attachments(frames[2])->at(0)), std::string(100, 'z'));
  }
}

TEST(Frame, CanBeSentFromAnyOffset) {
  const WireFrame wire = *WireFrame::lay_out(
      {kVersion, 1, "body", {bytes_from("one"), bytes_from("two"), bytes_from("three")}});
  const std::string whole = bytes_of(wire);
  EXPECT_EQ(whole.size(), wire.size());
  for (std::size_t from = 0; from < wire.size(); ++from) {
    EXPECT_EQ(bytes_of(wire, from), whole.substr(from));
  }
}

TEST(Frame, InlineAttachmentsAreAlignedForNumbers) {
  FrameDecoder decoder(kVersion);
  ASSERT_TRUE(decoder.feed(raw(a_frame("x", {bytes_from("odd"), bytes_from("12345678")}))).ok());
  Frame frame = *decoder.next();
  const auto attachments = *take_attachments(frame);
  ASSERT_EQ(attachments.size(), 2u);
  for (const BytesPtr& bytes : attachments) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes->view().data()) % 16, 0u);
  }
}

TEST(Frame, SlicesOfOneRegionTravelAsOneDescriptor) {
  MemoryRegion region = *MemoryRegion::create("test", 100);
  std::memset(region.bytes().data(), 'm', 100);
  const BytesPtr whole = *std::move(region).finish();
  const WireFrame wire = *WireFrame::lay_out(
      {kVersion, 1, "", {*slice_of(whole, 0, 10), *slice_of(whole, 50, 50), bytes_from("i")}});
  ASSERT_EQ(wire.descriptors().size(), 1u);
  std::vector<UniqueFd> received;
  received.push_back(*duplicate(wire.descriptors()[0]));
  FrameDecoder decoder(kVersion);
  ASSERT_TRUE(decoder.feed(raw(bytes_of(wire)), std::move(received)).ok());
  Frame frame = *decoder.next();
  const auto attachments = *take_attachments(frame);
  EXPECT_EQ(attachments.at(1)->view().size(), 50u);
  EXPECT_EQ(attachments.at(1)->fd_offset(), 50u);
  EXPECT_EQ(attachments.at(0)->fd(), attachments.at(1)->fd());
  EXPECT_EQ(text_of(attachments.at(2)), "i");
}

TEST(Frame, ADescriptorOfWhichNoByteIsNamedIsHandedOnAsItIs) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd write_end(ends[1]);
  const BytesPtr alone = descriptor_alone(UniqueFd(ends[0]));
  const WireFrame wire = *WireFrame::lay_out({kVersion, 5, "b", {bytes_from("before"), alone}});
  ASSERT_EQ(wire.descriptors().size(), 1u);
  std::vector<UniqueFd> arrived;
  arrived.push_back(*duplicate(wire.descriptors()[0]));
  const int fd = arrived.back().get();
  FrameDecoder decoder(kVersion);
  ASSERT_TRUE(decoder.feed(raw(bytes_of(wire)), std::move(arrived)).ok());
  Frame frame = *decoder.next();
  const auto attachments = take_attachments(frame);
  ASSERT_TRUE(attachments.ok()) << attachments.status().to_string();
  EXPECT_EQ(text_of(attachments->at(0)), "before");
  EXPECT_EQ(attachments->at(1)->fd(), fd);
  EXPECT_TRUE(attachments->at(1)->view().empty());
}

TEST(Frame, AnEmptySliceOfMemoryStaysEmptyBesideOneWithBytes) {
  MemoryRegion region = *MemoryRegion::create("slices", 64);
  const BytesPtr whole = *std::move(region).finish();
  const WireFrame wire =
      *WireFrame::lay_out({kVersion, 5, "b", {*slice_of(whole, 8, 0), *slice_of(whole, 0, 64)}});
  std::vector<UniqueFd> arrived;
  for (const int fd : wire.descriptors()) arrived.push_back(*duplicate(fd));
  FrameDecoder decoder(kVersion);
  ASSERT_TRUE(decoder.feed(raw(bytes_of(wire)), std::move(arrived)).ok());
  Frame frame = *decoder.next();
  const auto attachments = *take_attachments(frame);
  EXPECT_TRUE(attachments.at(0)->view().empty());
  EXPECT_EQ(attachments.at(1)->view().size(), 64u);
}

TEST(Frame, WhatPassesALimitIsNotLaidOut) {
  FrameLimits limits;
  limits.body_bytes = 10;
  limits.inline_bytes = 64;
  limits.attachments = 2;
  const auto refusal = [&](std::string body, std::vector<BytesPtr> attachments) {
    const Status status = WireFrame::lay_out({kVersion, 1, body, attachments}, limits).status();
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    return status.message();
  };
  EXPECT_THAT(refusal("eleven byte", {}), HasSubstr("11 bytes"));
  EXPECT_THAT(refusal("", {bytes_from(std::string(65, 'x'))}), HasSubstr("at most 64"));
  EXPECT_THAT(refusal("", std::vector<BytesPtr>(3, bytes_from(""))), HasSubstr("3 tensors"));
}

TEST(FrameDecoder, RefusesAHeaderThatLies) {
  EXPECT_THAT(status_of(header_with(0, std::uint32_t{0x50545448})).message(),
              HasSubstr("magic 0x414e554c"));
  EXPECT_THAT(status_of(header_with(8, std::uint32_t{4})).message(), HasSubstr("flags 0x4"));
  for (const std::size_t count : {12, 16, 20, 24}) {
    const Status status = status_of(header_with(count, std::uint32_t{0xfffffff0}));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("4294967280"));
  }
}

TEST(FrameDecoder, NamesBothVersionsWhenTheyDiffer) {
  const Status status = status_of(header_with(4, std::uint16_t{9}));
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("version 9"), HasSubstr("this side version 3")));
}

std::string table_frame(std::uint32_t place, std::uint64_t offset, std::uint64_t size) {
  std::string frame = a_frame("", {bytes_from(std::string(16, 'x'))});
  std::memcpy(frame.data() + kFrameHeaderBytes, &place, 4);
  std::memcpy(frame.data() + kFrameHeaderBytes + 8, &offset, 8);
  std::memcpy(frame.data() + kFrameHeaderBytes + 16, &size, 8);
  return frame;
}

TEST(FrameDecoder, RefusesAttachmentsThatAreNotThere) {
  EXPECT_TRUE(status_of(table_frame(kInlinePlace, 0, 16)).ok());
  EXPECT_FALSE(status_of(table_frame(kInlinePlace, 1, 16)).ok());
  EXPECT_FALSE(status_of(table_frame(kInlinePlace, UINT64_MAX, 2)).ok());
  EXPECT_FALSE(status_of(table_frame(kInlinePlace, 2, UINT64_MAX)).ok());
  EXPECT_THAT(status_of(table_frame(0, 0, 16)).message(), HasSubstr("descriptor 0 of 0"));
}

TEST(FrameDecoder, RefusesDescriptorsThatWereAnnouncedAndDidNotCome) {
  EXPECT_THAT(status_of(header_with(24, std::uint32_t{2})).message(),
              HasSubstr("announces 2 descriptors, 0 came"));
}

TEST(FrameDecoder, ClosesDescriptorsThatNobodyAnnounced) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::vector<UniqueFd> stray;
  stray.push_back(*duplicate(file.get()));
  const int raw_fd = stray[0].get();
  EXPECT_THAT(status_of(a_frame("x"), std::move(stray)).message(),
              HasSubstr("1 descriptors came that no frame announces"));
  EXPECT_EQ(::fcntl(raw_fd, F_GETFD), -1);
}

TEST(FrameDecoder, AMappedRegionSmallerThanTheTableSaysIsRefused) {
  const BytesPtr memory = *std::move(*MemoryRegion::create("test", 64)).finish();
  std::string frame = bytes_of(*WireFrame::lay_out({kVersion, 1, "", {memory}}));
  const std::uint64_t lie = 65;
  std::memcpy(frame.data() + kFrameHeaderBytes + 16, &lie, 8);
  std::vector<UniqueFd> received;
  received.push_back(*duplicate(memory->fd()));
  FrameDecoder decoder(kVersion);
  ASSERT_TRUE(decoder.feed(raw(frame), std::move(received)).ok());
  Frame lying = *decoder.next();
  EXPECT_EQ(take_attachments(lying).status().message(),
            "attachment 0: bytes 0 to 0+65 of 64 that are there");
}

TEST(FrameDecoder, StaysFailedAfterTheFirstError) {
  FrameDecoder decoder(kVersion);
  const Status first = decoder.feed(raw(std::string(kFrameHeaderBytes, '?')));
  EXPECT_FALSE(first.ok());
  EXPECT_EQ(decoder.feed(raw(a_frame("good"))), first);
  EXPECT_FALSE(decoder.next().has_value());
}

TEST(FrameDecoder, DamagedStreamsNeverDoMoreThanFail) {
  std::mt19937 random(11);
  const std::string good = a_frame("body", {bytes_from("attached"), bytes_from("more")});
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = good + good;
    for (int flips = 0; flips < 2; ++flips) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    FrameDecoder decoder(kVersion);
    (void)decoder.feed(raw(damaged));
    while (auto frame = decoder.next()) (void)take_attachments(*frame);
  }
}

TEST(FrameChannel, CarriesFramesLargerThanTheSocketTakesAtOnce) {
  auto [a, b] = *socket_pair();
  FrameChannel sender(std::move(a), kVersion);
  FrameChannel receiver(std::move(b), kVersion);
  const Deadline soon = Deadline::after(std::chrono::seconds(60));
  const std::string body(3 << 20, 'b');
  std::thread sending([&] { EXPECT_TRUE(sender.send(9, body, {bytes_from("att")}, soon).ok()); });
  Frame frame = *receiver.receive(soon);
  sending.join();
  EXPECT_EQ(frame.message, 9u);
  EXPECT_EQ(frame.body, body);
  EXPECT_EQ(text_of(take_attachments(frame)->at(0)), "att");
}

TEST(FrameChannel, EveryWaitEndsAtItsDeadline) {
  auto [a, b] = *socket_pair();
  FrameChannel one(std::move(a), kVersion);
  const auto moment = [] { return Deadline::after(std::chrono::milliseconds(1)); };
  EXPECT_EQ(one.receive(moment()).status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(one.send(1, std::string(4 << 20, 'x'), {}, moment()).code(),
            StatusCode::kDeadlineExceeded);
  b.reset();
}

}  // namespace
}  // namespace luna
