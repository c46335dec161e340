#include <algorithm>

#include "common/local/frame.h"
#include "common/local/little_endian.h"

namespace luna {
namespace {

/// Moves up to what is missing from the front of `bytes` to the end of `out`; true when `out` is
/// complete.
bool fill(std::string& out, std::size_t wanted, std::span<const std::byte>& bytes) {
  const std::size_t n = std::min(wanted - out.size(), bytes.size());
  out.append(reinterpret_cast<const char*>(bytes.data()), n);
  bytes = bytes.subspan(n);
  return out.size() == wanted;
}

}  // namespace

Status FrameDecoder::feed(std::span<const std::byte> bytes, std::vector<UniqueFd> descriptors) {
  if (!failed_.ok()) return failed_;
  std::move(descriptors.begin(), descriptors.end(), std::back_inserter(waiting_));
  failed_ = consume(bytes);
  if (failed_.ok() && !waiting_.empty() && (header_.empty() || stage_ != Stage::kHeader)) {
    failed_ = error(StatusCode::kInvalidArgument, "{} descriptors came that no frame announces",
                    waiting_.size());
  }
  if (failed_.ok() && waiting_.size() > kMaxDescriptors) {
    failed_ = error(StatusCode::kInvalidArgument, "{} descriptors for one frame; at most {} travel",
                    waiting_.size(), kMaxDescriptors);
  }
  if (!failed_.ok()) {
    waiting_.clear();
    frame_ = {};
  }
  return failed_;
}

std::optional<Frame> FrameDecoder::next() {
  if (ready_.empty()) return std::nullopt;
  Frame frame = std::move(ready_.front());
  ready_.pop_front();
  return frame;
}

Status FrameDecoder::consume(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    switch (stage_) {
      case Stage::kHeader:
        if (!fill(header_, kFrameHeaderBytes, bytes)) return {};
        LUNA_RETURN_IF_ERROR(read_header());
        stage_ = Stage::kTable;
        break;
      case Stage::kTable:
        if (!fill(table_, table_bytes_, bytes)) return {};
        break;
      case Stage::kBody:
        if (!fill(frame_.body, body_bytes_, bytes)) return {};
        break;
      case Stage::kInline:
        if (!fill(frame_.inline_bytes, inline_bytes_, bytes)) return {};
        break;
    }
    if (stage_ == Stage::kTable && table_.size() == table_bytes_) {
      LUNA_RETURN_IF_ERROR(read_table());
      stage_ = Stage::kBody;
    }
    if (stage_ == Stage::kBody && frame_.body.size() == body_bytes_) stage_ = Stage::kInline;
    if (stage_ == Stage::kInline && frame_.inline_bytes.size() == inline_bytes_) finish_frame();
  }
  return {};
}

Status FrameDecoder::read_header() {
  const auto magic = load_little_endian<std::uint32_t>(header_, 0);
  if (magic != kFrameMagic) {
    return error(StatusCode::kInvalidArgument, "expected a frame (magic {:#010x}), found {:#010x}",
                 kFrameMagic, magic);
  }
  const auto version = load_little_endian<std::uint16_t>(header_, 4);
  if (version != version_) {
    return error(StatusCode::kFailedPrecondition,
                 "the peer speaks protocol version {}, this side version {}: both must be of one "
                 "installation",
                 version, version_);
  }
  frame_.message = load_little_endian<std::uint16_t>(header_, 6);
  const auto flags = load_little_endian<std::uint32_t>(header_, 8);
  body_bytes_ = load_little_endian<std::uint32_t>(header_, 12);
  inline_bytes_ = load_little_endian<std::uint32_t>(header_, 16);
  const std::size_t attachments = load_little_endian<std::uint32_t>(header_, 20);
  descriptor_count_ = load_little_endian<std::uint32_t>(header_, 24);
  if (flags != 0) {
    return error(StatusCode::kInvalidArgument, "frame flags {:#x}; expected none", flags);
  }
  if (body_bytes_ > limits_.body_bytes || inline_bytes_ > limits_.inline_bytes ||
      attachments > limits_.attachments || descriptor_count_ > kMaxDescriptors) {
    return error(StatusCode::kInvalidArgument,
                 "a frame of {} body bytes, {} inline bytes, {} attachments and {} descriptors; at "
                 "most {}, {}, {} and {} are taken",
                 body_bytes_, inline_bytes_, attachments, descriptor_count_, limits_.body_bytes,
                 limits_.inline_bytes, limits_.attachments, kMaxDescriptors);
  }
  // Descriptors come with the first byte of their frame, so all of them are here by now.
  if (descriptor_count_ > waiting_.size()) {
    return error(StatusCode::kInvalidArgument, "a frame announces {} descriptors, {} came",
                 descriptor_count_, waiting_.size());
  }
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(descriptor_count_);
  frame_.descriptors.assign(std::move_iterator(waiting_.begin()), std::move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  table_bytes_ = attachments * kAttachmentEntryBytes;
  return {};
}

Status FrameDecoder::read_table() {
  frame_.table.reserve(table_.size() / kAttachmentEntryBytes);
  for (std::size_t at = 0; at < table_.size(); at += kAttachmentEntryBytes) {
    Frame::Attachment entry;
    entry.place = load_little_endian<std::uint32_t>(table_, at);
    const auto zero = load_little_endian<std::uint32_t>(table_, at + 4);
    entry.offset = load_little_endian<std::uint64_t>(table_, at + 8);
    entry.size = load_little_endian<std::uint64_t>(table_, at + 16);
    const std::size_t index = frame_.table.size();
    if (zero != 0) {
      return error(StatusCode::kInvalidArgument, "attachment {}: reserved field is {}, not 0",
                   index, zero);
    }
    if (entry.place == kInlinePlace) {
      if (entry.offset > inline_bytes_ || entry.size > inline_bytes_ - entry.offset) {
        return error(StatusCode::kInvalidArgument,
                     "attachment {}: bytes from {}, {} long, of {} inline bytes", index,
                     entry.offset, entry.size, inline_bytes_);
      }
    } else if (entry.place >= descriptor_count_) {
      return error(StatusCode::kInvalidArgument, "attachment {}: descriptor {} of {}", index,
                   entry.place, descriptor_count_);
    }
    frame_.table.push_back(entry);
  }
  return {};
}

void FrameDecoder::finish_frame() {
  ready_.push_back(std::move(frame_));
  frame_ = {};
  header_.clear();
  table_.clear();
  stage_ = Stage::kHeader;
}

}  // namespace luna
