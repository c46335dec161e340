#pragma once

#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "daemon/ipc/protocol/messages.h"

namespace luna::ipc {

/// A message as it travels: the body, and the tensors' bytes beside it, each as a descriptor
/// (memfd) when it has one or is larger than kInlineAttachment, else appended to the body's frame.
struct EncodedMessage {
  std::string body;
  std::vector<BytesPtr> attachments;
};
inline constexpr std::size_t kInlineAttachment = 64 * 1024;

EncodedMessage encode(const Message& message);
/// Every length, count, enum and attachment index is checked against what is there.
/// INVALID_ARGUMENT says which field of which message and what was found.
Result<Message> decode(std::string_view body, std::vector<BytesPtr> attachments);

}  // namespace luna::ipc
