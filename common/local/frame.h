#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/unique_fd.h"
#include "common/local/socket.h"

// A frame on a local socket, all numbers little-endian:
//
//   header      28 bytes: magic u32, version u16, message u16, flags u32 (0), body bytes u32,
//               inline bytes u32, attachments u32, descriptors u32
//   table       24 bytes an attachment: place u32 (a descriptor's index, or kInlinePlace), zero
//   u32,
//               offset u64 (in that descriptor, or in the inline bytes), size u64
//   body        what the message's own encoding made
//   inline      bytes of the attachments without a descriptor, each begins at a multiple of 16
//
// The descriptors travel as SCM_RIGHTS with the header's first byte. The header's first eight bytes
// never change between versions, so that two versions can name each other.
namespace luna {

inline constexpr std::uint32_t kFrameMagic = 0x414e554c;  // "LUNA"
inline constexpr std::size_t kFrameHeaderBytes = 28;
inline constexpr std::size_t kAttachmentEntryBytes = 24;
inline constexpr std::uint32_t kInlinePlace = 0xffffffff;

/// What one frame may hold at most.
struct FrameLimits {
  std::size_t body_bytes = std::size_t{16} << 20;
  std::size_t inline_bytes = std::size_t{64} << 20;
  std::size_t attachments = 65536;
};

/// A message to be sent: `message` is its number in the protocol `version`.
struct OutgoingFrame {
  std::uint16_t version = 0;
  std::uint16_t message = 0;
  std::string body;
  std::vector<BytesPtr> attachments;  ///< by descriptor where they have one, else inline
};

/// A frame laid out for sendmsg. Keeps the attachments' owners alive.
class WireFrame {
 public:
  /// RESOURCE_EXHAUSTED names the limit that the message passes.
  static Result<WireFrame> lay_out(OutgoingFrame frame, const FrameLimits& limits = {});

  std::size_t size() const { return size_; }
  /// The bytes from `offset` on, as many as `pieces` can name; returns how many pieces were filled.
  std::size_t pieces_from(std::size_t offset, std::span<iovec> pieces) const;
  std::span<const int> descriptors() const { return descriptors_; }

 private:
  std::string head_;  ///< header, table and body
  std::vector<std::span<const std::byte>> inline_parts_;
  std::vector<int> descriptors_;
  std::vector<BytesPtr> owners_;
  std::size_t size_ = 0;
};

/// A frame as it came. The table was checked against the limits and the lengths, the descriptors'
/// sizes were not.
struct Frame {
  struct Attachment {
    std::uint32_t place = kInlinePlace;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  std::uint16_t message = 0;
  std::string body;
  std::vector<Attachment> table;
  std::string inline_bytes;
  std::vector<UniqueFd> descriptors;
};

/// The attachments of a frame, descriptors mapped, but for those of which the table names no byte
/// (descriptor_alone): they stay what they are. INVALID_ARGUMENT when one is not memory that may be
/// mapped (map_received), or is smaller than the table says.
Result<std::vector<BytesPtr>> take_attachments(Frame& frame);

/// Makes frames out of bytes in whatever pieces they come. No length is believed: memory grows with
/// what has really arrived. After the first error every further call returns that error; nothing
/// can be decoded after it.
class FrameDecoder {
 public:
  explicit FrameDecoder(std::uint16_t version, FrameLimits limits = {})
      : version_(version), limits_(limits) {}

  /// `descriptors` are those that came with these bytes. INVALID_ARGUMENT for anything that is no
  /// frame; FAILED_PRECONDITION names both versions when the peer speaks another one.
  Status feed(std::span<const std::byte> bytes, std::vector<UniqueFd> descriptors = {});
  /// The oldest complete frame.
  std::optional<Frame> next();
  /// True between frames: the stream may end here.
  bool at_boundary() const { return stage_ == Stage::kHeader && header_.empty(); }

 private:
  enum class Stage { kHeader, kTable, kBody, kInline };

  Status consume(std::span<const std::byte> bytes);
  Status read_header();
  Status read_table();
  void finish_frame();

  std::uint16_t version_;
  FrameLimits limits_;
  Status failed_;
  Stage stage_ = Stage::kHeader;
  std::string header_;
  std::string table_;
  std::size_t body_bytes_ = 0, inline_bytes_ = 0, table_bytes_ = 0, descriptor_count_ = 0;
  Frame frame_;
  std::vector<UniqueFd> waiting_;  ///< descriptors that no header has claimed yet
  std::deque<Frame> ready_;
};

}  // namespace luna
