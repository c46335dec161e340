#include "daemon/worker/engine/encode_text_task.h"

#include <utility>

#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxChunks = 512;

}  // namespace

EncodeTextTask::EncodeTextTask(TaskServices& services, TaskTicket ticket, EncodeTextRequest request,
                               std::vector<std::string> warnings,
                               std::shared_ptr<const TextEncoder> encoder)
    : services_(services),
      ticket_(std::move(ticket)),
      request_(std::move(request)),
      warnings_(std::move(warnings)),
      encoder_(std::move(encoder)) {}

Status EncodeTextTask::start() {
  for (const auto& [key, chunks] : request_.tokens) {
    if (key != encoder_->token_key()) {
      return error(StatusCode::kInvalidArgument,
                   "tokens: expected those of encoder '{}', found '{}'", encoder_->token_key(),
                   key);
    }
    if (chunks.size() > kMaxChunks) {
      return error(StatusCode::kInvalidArgument, "tokens.{}: expected at most {} chunks, found {}",
                   key, kMaxChunks, chunks.size());
    }
  }
  return {};
}

void EncodeTextTask::run_item() {
  finish(torch_call("encoding text", [&] { return encode(); }));
}

Result<JobReply> EncodeTextTask::encode() {
  const auto chunks = request_.tokens.find(encoder_->token_key());
  Result<TextEncoding> encoding = error(StatusCode::kInternal, "the encoder was not run");
  services_.pacer.run(
      [&] {
        encoding = encoder_->encode(
            chunks == request_.tokens.end() ? std::vector<std::vector<Token>>() : chunks->second,
            request_.clip_skip);
      },
      [&counters = services_.counters, &share = services_.fair_share, workflow = ticket_.workflow,
       kind = "clip_" + encoder_->token_key()](double seconds) {
        counters.forward(kind, 1, seconds);
        share.charge(workflow, seconds);
      });
  LUNA_RETURN_IF_ERROR(encoding.status());
  if (!encoding->hidden.isfinite().all().item<bool>()) {
    return error(StatusCode::kInvalidArgument, "the encoded text has NaN or infinite values");
  }
  EncodeTextReply reply;
  reply.warnings = warnings_;
  LUNA_ASSIGN_OR_RETURN(reply.cross_attn,
                        tensor_ref_of(encoding->hidden.to(at::kFloat), services_.make_bytes));
  if (encoding->pooled.defined()) {
    LUNA_ASSIGN_OR_RETURN(reply.pooled,
                          tensor_ref_of(encoding->pooled.to(at::kFloat), services_.make_bytes));
  }
  return JobReply(std::move(reply));
}

}  // namespace luna::worker
