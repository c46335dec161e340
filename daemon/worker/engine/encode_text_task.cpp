#include "daemon/worker/engine/encode_text_task.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "daemon/worker/engine/result_ref.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxChunks = 512;

}  // namespace

EncodeTextTask::EncodeTextTask(TaskServices& services, TaskTicket ticket, EncodeTextRequest request,
                               std::vector<std::string> warnings,
                               std::vector<std::shared_ptr<const TextEncoder>> encoders)
    : services_(services),
      ticket_(std::move(ticket)),
      request_(std::move(request)),
      warnings_(std::move(warnings)),
      encoders_(std::move(encoders)) {}

Status EncodeTextTask::start() {
  std::vector<std::string> keys;
  for (const auto& encoder : encoders_) keys.push_back(encoder->token_key());
  for (const auto& [key, chunks] : request_.tokens) {
    if (std::ranges::find(keys, key) == keys.end()) {
      return error(StatusCode::kInvalidArgument,
                   "tokens: expected those of encoder '{}', found '{}'", fmt::join(keys, "', '"),
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

/// SD1.5 takes the last layer's states, normed; SDXL those of the layer before, as they are.
TextLayer EncodeTextTask::layer() const {
  const bool sdxl = std::ranges::any_of(
      encoders_, [](const auto& encoder) { return encoder->token_key() == "g"; });
  const int usual = sdxl ? 2 : 1;
  return {request_.clip_skip > 0 ? request_.clip_skip : usual, !sdxl};
}

Result<TextEncoding> EncodeTextTask::run(const TextEncoder& encoder) {
  const auto chunks = request_.tokens.find(encoder.token_key());
  Result<TextEncoding> encoding = error(StatusCode::kInternal, "the encoder was not run");
  services_.pacer.run(
      [&] {
        encoding = encoder.encode(
            chunks == request_.tokens.end() ? std::vector<std::vector<Token>>() : chunks->second,
            layer());
      },
      [&counters = services_.counters, &share = services_.fair_share, workflow = ticket_.workflow,
       kind = "clip_" + encoder.token_key()](double seconds) {
        counters.forward(kind, 1, seconds);
        share.charge(workflow, seconds);
      });
  LUNA_RETURN_IF_ERROR(encoding.status());
  if (!encoding->hidden.isfinite().all().item<bool>()) {
    return error(StatusCode::kInvalidArgument, "the encoded text has NaN or infinite values");
  }
  return encoding;
}

Result<JobReply> EncodeTextTask::encode() {
  TextEncoding all;
  for (const auto& encoder : encoders_) {
    LUNA_ASSIGN_OR_RETURN(TextEncoding one, run(*encoder));
    if (!all.hidden.defined()) {
      all = std::move(one);
      continue;
    }
    const std::int64_t tokens = std::min(all.hidden.size(1), one.hidden.size(1));
    all.hidden = at::cat({all.hidden.narrow(1, 0, tokens), one.hidden.narrow(1, 0, tokens)}, -1);
    all.pooled = one.pooled;
  }
  EncodeTextReply reply;
  reply.warnings = warnings_;
  LUNA_ASSIGN_OR_RETURN(reply.cross_attn,
                        result_ref(all.hidden.to(at::kFloat), services_, ticket_));
  if (all.pooled.defined()) {
    LUNA_ASSIGN_OR_RETURN(reply.pooled, result_ref(all.pooled.to(at::kFloat), services_, ticket_));
  }
  return JobReply(std::move(reply));
}

}  // namespace luna::worker
