#include "common/local/frame.h"

#include <algorithm>
#include <map>

#include "common/local/descriptors.h"
#include "common/local/little_endian.h"
#include "common/local/memory.h"

namespace luna {
namespace {

constexpr std::size_t kInlineAlignment = 16;
constexpr std::array<std::byte, kInlineAlignment> kPadding{};

std::size_t padding_after(std::size_t size) {
  return (kInlineAlignment - size % kInlineAlignment) % kInlineAlignment;
}

/// Inline bytes of one frame; its slices stay aligned as they were laid out.
Result<BytesPtr> attachment_of(const Frame::Attachment& entry, const BytesPtr& inline_bytes,
                               const std::vector<BytesPtr>& mapped) {
  const BytesPtr& whole = entry.place == kInlinePlace ? inline_bytes : mapped[entry.place];
  if (entry.place != kInlinePlace && whole->view().empty() && entry.size == 0) return whole;
  return slice_of(whole, entry.offset, entry.size);
}

}  // namespace

Result<WireFrame> WireFrame::lay_out(OutgoingFrame frame, const FrameLimits& limits) {
  if (frame.body.size() > limits.body_bytes) {
    return error(StatusCode::kResourceExhausted,
                 "a message of {} bytes beside its tensors; at most {} travel", frame.body.size(),
                 limits.body_bytes);
  }
  if (frame.attachments.size() > limits.attachments) {
    return error(StatusCode::kResourceExhausted, "a message with {} tensors; at most {} travel",
                 frame.attachments.size(), limits.attachments);
  }
  WireFrame wire;
  std::string table;
  table.reserve(frame.attachments.size() * kAttachmentEntryBytes);
  std::size_t inline_size = 0;
  std::map<int, std::uint32_t> index_of;
  for (const BytesPtr& attachment : frame.attachments) {
    const std::size_t size = attachment->view().size();
    std::uint32_t place = kInlinePlace;
    std::uint64_t offset = inline_size;
    if (attachment->fd() >= 0) {
      const auto [at, added] = index_of.try_emplace(
          attachment->fd(), static_cast<std::uint32_t>(wire.descriptors_.size()));
      if (added) wire.descriptors_.push_back(attachment->fd());
      place = at->second;
      offset = attachment->fd_offset();
    } else if (size > 0) {
      wire.inline_parts_.push_back(attachment->view());
      inline_size += size;
      if (const std::size_t padding = padding_after(size); padding > 0) {
        wire.inline_parts_.push_back(std::span(kPadding).first(padding));
        inline_size += padding;
      }
    }
    append_little_endian(table, place);
    append_little_endian(table, std::uint32_t{0});
    append_little_endian(table, offset);
    append_little_endian(table, std::uint64_t{size});
  }
  if (inline_size > limits.inline_bytes) {
    return error(StatusCode::kResourceExhausted,
                 "a message with {} bytes of tensors that have no descriptor; at most {} travel",
                 inline_size, limits.inline_bytes);
  }
  if (wire.descriptors_.size() > kMaxDescriptors) {
    return error(StatusCode::kResourceExhausted, "a message with {} descriptors; at most {} travel",
                 wire.descriptors_.size(), kMaxDescriptors);
  }
  std::string& head = wire.head_;
  head.reserve(kFrameHeaderBytes + table.size() + frame.body.size());
  append_little_endian(head, kFrameMagic);
  append_little_endian(head, frame.version);
  append_little_endian(head, frame.message);
  append_little_endian(head, std::uint32_t{0});
  append_little_endian(head, static_cast<std::uint32_t>(frame.body.size()));
  append_little_endian(head, static_cast<std::uint32_t>(inline_size));
  append_little_endian(head, static_cast<std::uint32_t>(frame.attachments.size()));
  append_little_endian(head, static_cast<std::uint32_t>(wire.descriptors_.size()));
  head += table;
  head += frame.body;
  wire.owners_ = std::move(frame.attachments);
  wire.size_ = head.size() + inline_size;
  return wire;
}

std::size_t WireFrame::pieces_from(std::size_t offset, std::span<iovec> pieces) const {
  std::size_t count = 0;
  const auto add = [&](std::span<const std::byte> part) {
    if (offset >= part.size()) {
      offset -= part.size();
      return;
    }
    part = part.subspan(offset);
    offset = 0;
    pieces[count++] = {const_cast<std::byte*>(part.data()), part.size()};
  };
  add(std::as_bytes(std::span(head_)));
  for (const auto& part : inline_parts_) {
    if (count == pieces.size()) break;
    add(part);
  }
  return count;
}

Result<std::vector<BytesPtr>> take_attachments(Frame& frame) {
  std::vector<BytesPtr> mapped;
  mapped.reserve(frame.descriptors.size());
  for (std::size_t i = 0; i < frame.descriptors.size(); ++i) {
    UniqueFd& fd = frame.descriptors[i];
    const bool bytes_wanted = std::ranges::any_of(
        frame.table, [&](const Frame::Attachment& a) { return a.place == i && a.size > 0; });
    if (!bytes_wanted && !sealed_against_shrinking(fd.get())) {
      mapped.push_back(descriptor_alone(std::move(fd)));
      continue;
    }
    LUNA_ASSIGN_OR_RETURN(BytesPtr bytes, map_received(std::move(fd)));
    mapped.push_back(std::move(bytes));
  }
  frame.descriptors.clear();
  const BytesPtr inline_bytes = bytes_from(std::move(frame.inline_bytes));
  std::vector<BytesPtr> attachments;
  attachments.reserve(frame.table.size());
  for (const Frame::Attachment& entry : frame.table) {
    Result<BytesPtr> bytes = attachment_of(entry, inline_bytes, mapped);
    if (!bytes.ok()) {
      return bytes.status().with_context(fmt::format("attachment {}", attachments.size()));
    }
    attachments.push_back(std::move(bytes).value());
  }
  return attachments;
}

}  // namespace luna
