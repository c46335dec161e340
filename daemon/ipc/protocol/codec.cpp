#include "daemon/ipc/protocol/codec.h"

#include "daemon/ipc/protocol/archive.h"
#include "daemon/ipc/protocol/attachments.h"
#include "daemon/ipc/protocol/message_fields.h"
#include "daemon/ipc/protocol/message_name.h"

namespace luna::ipc {
namespace {

/// Reads the alternative `number` of Message, whose fields begin at once.
template <std::size_t I = 0>
void read_message(Reader& reader, Message& message, std::size_t number) {
  if constexpr (I < std::variant_size_v<Message>) {
    if (I == number) {
      fields(reader, message.emplace<I>());
    } else {
      read_message<I + 1>(reader, message, number);
    }
  }
}

}  // namespace

EncodedMessage encode(const Message& message) {
  Writer writer;
  writer.field("message", static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& content) { fields(writer, content); }, message);
  return {writer.take_body(), prepare_attachments(writer.take_attachments())};
}

Result<Message> decode(std::string_view body, std::vector<BytesPtr> attachments) {
  if (body.empty()) {
    return error(StatusCode::kInvalidArgument, "expected a message, found an empty body");
  }
  const auto number = static_cast<std::uint8_t>(body[0]);
  if (number >= std::variant_size_v<Message>) {
    return error(StatusCode::kInvalidArgument, "message number {}; expected 0 to {}", number,
                 std::variant_size_v<Message> - 1);
  }
  Reader reader(body.substr(1), std::move(attachments), message_name(number));
  Message message;
  read_message(reader, message, number);
  LUNA_RETURN_IF_ERROR(reader.finish());
  return message;
}

}  // namespace luna::ipc
