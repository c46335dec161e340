#include <algorithm>
#include <utility>

#include "common/log/log.h"
#include "common/types/request_tensors.h"
#include "daemon/worker/engine/denoise_task.h"
#include "daemon/worker/engine/device_engine.h"
#include "daemon/worker/engine/encode_text_task.h"
#include "daemon/worker/engine/sample_task.h"
#include "daemon/worker/engine/vae_task.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

// Of CLIP-L; asked for when no encoder of the workflow tells another.
constexpr std::size_t kUsualWidth = 768;
// Bytes of a prompt whose tokens take a tenth of a millisecond.
constexpr std::size_t kShortText = 1024;

// What a prompt's chunks are filled up with: the end token, and 0.
constexpr std::int64_t kClipLPad = 49407, kClipGPad = 0;

void add_missing(std::vector<std::string>& to, const std::vector<std::string>& from) {
  for (const std::string& text : from) {
    if (std::ranges::find(to, text) == to.end()) to.push_back(text);
  }
}

/// Its vectors may have to be read from a file.
bool names_embedding(const std::string& text) {
  return text.find("embedding:") != std::string::npos;
}

template <class Model>
std::shared_ptr<const Model> model_as(const ModelHandle& handle) {
  const auto* model = std::get_if<std::shared_ptr<const Model>>(&handle->model);
  return model ? *model : nullptr;
}

}  // namespace

void DeviceEngine::accept(Incoming incoming) {
  const JobId id = incoming.job.id;
  auto owned = std::make_unique<LiveJob>();
  LiveJob& live = *owned;
  Job& job = incoming.job;
  live.ticket = {job.workflow,
                 job.priority,
                 next_order_++,
                 incoming.events.on_progress,
                 std::move(incoming.make_bytes),
                 job.session,
                 job.cuda_results};
  live.job = std::move(job);
  live.events = std::move(incoming.events);
  live.accepted = incoming.accepted;
  live_.emplace(id, std::move(owned));
  fair_share_.enter(live.ticket.workflow);
  expect_more_of(live.ticket.priority);
  if (live.job.deadline.expired()) {
    return end(id,
               error(StatusCode::kDeadlineExceeded, "the job's deadline passed before it began"));
  }
  if (const Status here = bring_in(live.job); !here.ok()) return end(id, here);
  begin(live);
}

Status DeviceEngine::bring_in(Job& job) {
  if (plane_) return plane_->bring_in(job.request, job.session);
  return for_each_tensor(job.request, [&](TensorRef& tensor, const std::string& name) -> Status {
    const auto* handle = std::get_if<CudaHandle>(&tensor.place);
    if (!handle) return {};
    return error(StatusCode::kFailedPrecondition,
                 "{}: memory of {} cannot be read by this worker, whose device is {}", name,
                 handle->device_uuid, device_.description());
  });
}

void DeviceEngine::begin(LiveJob& live) {
  std::visit([&](auto& request) { begin_request(live, request); }, live.job.request);
}

void DeviceEngine::with_model(LiveJob& live, Slot slot, std::function<void(LiveJob&)> then) {
  with_models(live, {{slot, {}, false}}, std::move(then));
}

void DeviceEngine::with_model(LiveJob& live, Slot slot, const ModelRef& model,
                              std::function<void(LiveJob&)> then) {
  live.job.models.slots.insert_or_assign(slot, model);
  with_model(live, slot, std::move(then));
}

void DeviceEngine::with_models(LiveJob& live, std::vector<WantedModel> wanted,
                               std::function<void(LiveJob&)> then) {
  if (live.models.size() == wanted.size()) return then(live);
  const WantedModel next = wanted[live.models.size()];
  with_next_model(live, next,
                  [this, wanted = std::move(wanted), then = std::move(then)](LiveJob& ready) {
                    with_models(ready, wanted, then);
                  });
}

void DeviceEngine::with_next_model(LiveJob& live, const WantedModel& next,
                                   std::function<void(LiveJob&)> then) {
  const auto model = live.job.models.slots.find(next.slot);
  if (model == live.job.models.slots.end()) {
    return end(live.job.id, error(StatusCode::kFailedPrecondition,
                                  "{} needs a {}, and the workflow's model set has none",
                                  job_kind(live.job.request), slot_name(next.slot)));
  }
  const auto go_on = [this, id = live.job.id, then = std::move(then)](Result<ModelHandle> handle) {
    inbox_.post([this, id, then, handle = std::move(handle)] {
      LiveJob* const live = find(id);
      if (!live) return;
      if (!handle.ok()) return end(id, handle.status());
      live->models.push_back(*handle);
      then(*live);
    });
  };
  if (next.row_wise) {
    residency_->acquire_rows(next.slot, model->second, next.adapters.front().path, go_on);
  } else {
    residency_->acquire(next.slot, model->second, next.adapters, go_on);
  }
}

void DeviceEngine::with_preview_decoder(
    LiveJob& live, std::function<void(LiveJob&, std::shared_ptr<const TaesdDecoder>)> then) {
  const bool asked = std::get<SampleRequest>(live.job.request).previews.every_steps > 0;
  if (!asked || !live.job.models.slots.contains(Slot::kPreview)) return then(live, nullptr);
  with_next_model(
      live, {Slot::kPreview, {}, false}, [this, then = std::move(then)](LiveJob& ready) {
        auto decoder = model_as<TaesdDecoder>(ready.models.back());
        if (decoder) return then(ready, std::move(decoder));
        end(ready.job.id, error(StatusCode::kInternal, "the preview slot holds no decoder"));
      });
}

Result<ClipTokenizer::Tokenized> DeviceEngine::tokenized(const std::string& text, std::size_t width,
                                                         std::int64_t pad) {
  ClipTokenizer::Options options;
  options.pad = pad;
  options.embeddings = [this,
                        width](std::string_view name) -> std::optional<EmbeddingShelf::Vectors> {
    auto found = embeddings_.find(name, width);
    if (found.ok()) return std::move(found).value();
    if (found.status().code() != StatusCode::kNotFound)
      log::logger("engine").warn("{}", found.status().to_string());
    return std::nullopt;
  };
  return torch_call("tokenising a prompt", [&] { return tokenizer_->tokenize(text, options); });
}

void DeviceEngine::with_tokens(LiveJob& live, const std::string& text, std::size_t width,
                               std::int64_t pad,
                               std::function<void(LiveJob&, ClipTokenizer::Tokenized)> then) {
  const JobId id = live.job.id;
  const auto go_on = [this, id, then = std::move(then)](Result<ClipTokenizer::Tokenized> tokens) {
    LiveJob* const live = find(id);
    if (!live) return;
    if (!tokens.ok()) return end(id, tokens.status());
    then(*live, std::move(tokens).value());
  };
  if (text.size() <= kShortText && !names_embedding(text))
    return go_on(tokenized(text, width, pad));
  const Status posted = text_thread_->post([this, text, width, pad, go_on] {
    inbox_.post(
        [go_on, tokens = tokenized(text, width, pad)]() mutable { go_on(std::move(tokens)); });
  });
  if (!posted.ok()) end(id, posted);
}

void DeviceEngine::start_task(LiveJob& live, std::unique_ptr<Task> task) {
  const JobId id = live.job.id;
  live.task = std::move(task);
  mark_started(live);
  // To look at a tensor on the device is to wait for who writes it; that it takes too long is seen.
  counters_.step_begins();
  const Status status = torch_call("beginning a job", [&] { return live.task->start(); });
  counters_.step_ends();
  if (!status.ok()) return end(id, status);
  if (auto result = live.task->take_result()) end(id, std::move(*result));
}

std::vector<Slot> DeviceEngine::text_slots(const LiveJob& live) const {
  std::vector<Slot> slots;
  for (const Slot slot : {Slot::kClipL, Slot::kClipG}) {
    if (live.job.models.slots.contains(slot)) slots.push_back(slot);
  }
  return slots.empty() ? std::vector<Slot>{Slot::kClipL} : slots;
}

void DeviceEngine::begin_request(LiveJob& live, TokenizeRequest& request) {
  // Only an embedding's vectors depend on the encoder.
  const bool has_encoder =
      live.job.models.slots.contains(Slot::kClipL) || live.job.models.slots.contains(Slot::kClipG);
  if (!names_embedding(request.text) || !has_encoder) return tokenize_for(live, 0, {});
  std::vector<WantedModel> wanted;
  for (const Slot slot : text_slots(live)) wanted.push_back({slot, {}, false});
  with_models(live, std::move(wanted), [this](LiveJob& ready) { tokenize_for(ready, 0, {}); });
}

void DeviceEngine::tokenize_for(LiveJob& live, std::size_t next, TokenizeReply reply) {
  const std::vector<Slot> slots = text_slots(live);
  if (next == slots.size()) return end(live.job.id, JobReply(std::move(reply)));
  const bool g = slots[next] == Slot::kClipG;
  const auto encoder =
      next < live.models.size() ? model_as<TextEncoder>(live.models[next]) : nullptr;
  const auto width = encoder ? static_cast<std::size_t>(encoder->width()) : kUsualWidth;
  with_tokens(live, std::get<TokenizeRequest>(live.job.request).text, width,
              g ? kClipGPad : kClipLPad,
              [this, g, next, reply = std::move(reply)](LiveJob& ready,
                                                        ClipTokenizer::Tokenized tokens) mutable {
                reply.chunks.emplace(g ? "g" : "l", std::move(tokens.chunks));
                add_missing(reply.warnings, tokens.warnings);
                tokenize_for(ready, next + 1, std::move(reply));
              });
}

void DeviceEngine::begin_request(LiveJob& live, EncodeTextRequest& request) {
  std::vector<WantedModel> wanted;
  for (const Slot slot : text_slots(live))
    wanted.push_back({slot, adapter_uses(request.loras, slot), false});
  with_models(live, std::move(wanted), [this](LiveJob& ready) { encode_tokens(ready, 0, {}); });
}

void DeviceEngine::encode_tokens(LiveJob& live, std::size_t next,
                                 std::vector<std::string> warnings) {
  std::vector<std::shared_ptr<const TextEncoder>> encoders;
  for (const ModelHandle& model : live.models) {
    encoders.push_back(model_as<TextEncoder>(model));
    if (encoders.back()) continue;
    return end(live.job.id, error(StatusCode::kInternal, "a text encoder's slot holds none"));
  }
  auto& request = std::get<EncodeTextRequest>(live.job.request);
  const bool given = next == 0 && !request.tokens.empty();
  if (given || next == encoders.size()) {
    for (const ModelHandle& model : live.models) add_missing(warnings, model->warnings);
    return start_task(live,
                      std::make_unique<EncodeTextTask>(services_, live.ticket, std::move(request),
                                                       std::move(warnings), std::move(encoders)));
  }
  const auto encoder = encoders[next];
  with_tokens(live, request.text, static_cast<std::size_t>(encoder->width()), encoder->pad(),
              [this, encoder, next, warnings = std::move(warnings)](
                  LiveJob& ready, ClipTokenizer::Tokenized tokens) mutable {
                auto& text = std::get<EncodeTextRequest>(ready.job.request);
                text.tokens[encoder->token_key()] = std::move(tokens.chunks);
                add_missing(warnings, tokens.warnings);
                encode_tokens(ready, next + 1, std::move(warnings));
              });
}

void DeviceEngine::begin_request(LiveJob& live, VaeEncodeRequest&) {
  with_model(live, Slot::kVae, [this](LiveJob& ready) {
    auto vae = model_as<Vae>(ready.models.front());
    if (!vae) return end(ready.job.id, error(StatusCode::kInternal, "the vae slot holds no VAE"));
    start_task(ready, make_vae_encode_task(services_, ready.ticket,
                                           std::move(std::get<VaeEncodeRequest>(ready.job.request)),
                                           std::move(vae)));
  });
}

void DeviceEngine::begin_request(LiveJob& live, VaeDecodeRequest&) {
  with_model(live, Slot::kVae, [this](LiveJob& ready) {
    auto vae = model_as<Vae>(ready.models.front());
    if (!vae) return end(ready.job.id, error(StatusCode::kInternal, "the vae slot holds no VAE"));
    start_task(ready, make_vae_decode_task(services_, ready.ticket,
                                           std::move(std::get<VaeDecodeRequest>(ready.job.request)),
                                           std::move(vae)));
  });
}

void DeviceEngine::begin_request(LiveJob& live, DenoiseRequest& request) {
  std::vector<const std::vector<LoraRef>*> rows;
  for (const DenoiseRow& row : request.rows) rows.push_back(&row.loras);
  const std::vector<std::uint64_t> evaluations(rows.size(), 1);
  with_row_models(
      live, rows, evaluations, request.lora_application, [this](LiveJob& ready, RowModels models) {
        auto& denoise = std::get<DenoiseRequest>(ready.job.request);
        start_task(ready, std::make_unique<DenoiseTask>(services_, ready.ticket, std::move(denoise),
                                                        std::move(models)));
      });
}

void DeviceEngine::begin_request(LiveJob& live, SampleRequest& request) {
  std::vector<const std::vector<LoraRef>*> rows;
  std::vector<std::uint64_t> evaluations;
  for (const SampleRow& row : request.rows) {
    rows.push_back(&row.loras);
    evaluations.push_back(evaluations_of_row(request.run, row.guidance));
  }
  const auto go_on = [this](LiveJob& ready, RowModels models) {
    with_preview_decoder(ready, [this, models = std::move(models)](
                                    LiveJob& done, std::shared_ptr<const TaesdDecoder> decoder) {
      auto& sample = std::get<SampleRequest>(done.job.request);
      start_task(done, std::make_unique<SampleTask>(services_, done.ticket, std::move(sample),
                                                    models, std::move(decoder)));
    });
  };
  with_row_models(live, rows, evaluations, request.lora_application, go_on);
}

void DeviceEngine::begin_request(LiveJob& live, InspectModelRequest& request) {
  residency_->inspect(request, [this, id = live.job.id](Result<InspectModelReply> found) {
    inbox_.post([this, id, found = std::move(found)]() mutable {
      if (!found.ok()) return end(id, found.status());
      end(id, JobReply(std::move(found).value()));
    });
  });
}

void DeviceEngine::begin_request(LiveJob& live, LoadModelRequest& request) {
  with_model(live, request.slot, request.model, [this](LiveJob& ready) {
    end(ready.job.id, JobReply(LoadModelReply{residency_->describe(ready.models.front())}));
  });
}

void DeviceEngine::begin_request(LiveJob& live, UnloadModelRequest& request) {
  residency_->unload(request, [this, id = live.job.id](UnloadModelReply reply) {
    inbox_.post([this, id, reply = std::move(reply)] { end(id, JobReply(reply)); });
  });
}

void DeviceEngine::begin_request(LiveJob& live, RestoreModelRequest& request) {
  residency_->restore(request, [this, id = live.job.id](Result<RestoreModelReply> restored) {
    inbox_.post([this, id, restored = std::move(restored)]() mutable {
      if (!restored.ok()) return end(id, restored.status());
      end(id, JobReply(std::move(restored).value()));
    });
  });
}

void DeviceEngine::begin_request(LiveJob& live, LeaseCudaRequest& request) {
  if (!plane_) return end(live.job.id, no_plane());
  Result<LeaseCudaReply> leased = plane_->lease(request, live.job.session);
  if (!leased.ok()) return end(live.job.id, leased.status());
  end(live.job.id, JobReply(std::move(leased).value()));
}

void DeviceEngine::begin_request(LiveJob& live, ProveCudaRequest& request) {
  if (!plane_) return end(live.job.id, no_plane());
  counters_.step_begins();
  Result<ProveCudaReply> proved = plane_->prove(request, live.job.session);
  counters_.step_ends();
  if (!proved.ok()) return end(live.job.id, proved.status());
  end(live.job.id, JobReply(std::move(proved).value()));
}

Status DeviceEngine::no_plane() const {
  return error(StatusCode::kFailedPrecondition, "this worker's device, {}, has no memory to share",
               device_.description());
}

}  // namespace luna::worker
