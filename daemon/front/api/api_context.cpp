#include "daemon/front/api/api_context.h"

#include "common/types/request_tensors.h"

namespace luna::front {

Status check_inline_size(JobReply& reply, const Config::Limits& limits) {
  std::uint64_t total = 0;
  const Status status = for_each_tensor(reply, [&](TensorRef& tensor, const std::string& name) {
    const BytesPtr bytes = tensor.host_bytes();
    if (!bytes) return Status();
    total += bytes->view().size();
    if (bytes->view().size() <= limits.inline_bytes) return Status();
    return error(StatusCode::kResourceExhausted,
                 "{}: {} has {} bytes, and a reply carries at most {}; ask with keep = true and "
                 "fetch it by Tensors.Download",
                 name, tensor.spec.to_string(), bytes->view().size(), limits.inline_bytes);
  });
  LUNA_RETURN_IF_ERROR(status);
  if (total > limits.message_bytes) {
    return error(StatusCode::kResourceExhausted,
                 "the reply's tensors have {} bytes together, and one message carries at most {}; "
                 "ask with keep = true and fetch them by Tensors.Download",
                 total, limits.message_bytes);
  }
  return {};
}

}  // namespace luna::front
