#include "client/pipeline/generate_stage.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <mutex>

#include "client/include/luna/client/call.h"
#include "client/pipeline/masked_picture.h"
#include "client/pipeline/picture_size.h"
#include "client/pipeline/start_picture.h"
#include "client/pipeline/step_clock.h"
#include "client/pipeline/workflow_name.h"

namespace luna::client {
namespace {

constexpr int kMaxBatch = 1024;
constexpr std::size_t kDecodesInFlight = 8;
/// Registrations renew with every use; this outlives a long pause between two commands.
constexpr std::uint32_t kWorkflowTtlSeconds = 3600;

class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(since_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

Status check_request(const GenerateRequest& request) {
  if (request.batch < 1 || request.batch > kMaxBatch) {
    return error(StatusCode::kInvalidArgument, "batch {}: expected 1 to {}", request.batch,
                 kMaxBatch);
  }
  if (request.batch_index && (*request.batch_index < 0 || *request.batch_index >= request.batch)) {
    return error(StatusCode::kInvalidArgument, "picture {} of a batch of {}: expected 0 to {}",
                 *request.batch_index, request.batch, request.batch - 1);
  }
  if (request.clip_skip < 0) {
    return error(StatusCode::kInvalidArgument, "clip skip {}: expected 0 (default) or more",
                 request.clip_skip);
  }
  if (request.mask && !request.image) {
    return error(StatusCode::kInvalidArgument,
                 "a mask was given without the picture it belongs to");
  }
  if (request.image)
    LUNA_RETURN_IF_ERROR(request.image->validate().with_context("starting picture"));
  if (request.mask) LUNA_RETURN_IF_ERROR(request.mask->validate().with_context("mask"));
  return {};
}

/// One generation from its checked request to its pictures.
class Generation {
 public:
  Generation(const GenerateContext& context, const GenerateRequest& request)
      : context_(context), request_(request) {
    options_.workflow_id = request.workflow_id;
    options_.priority = context.priority;
    options_.deadline = context.deadline;
    if (request.batch_index) {
      result_.batch_index = {*request.batch_index};
    } else {
      for (int i = 0; i < request.batch; ++i) result_.batch_index.push_back(i);
    }
    progress_.pictures_wanted = static_cast<int>(result_.batch_index.size());
    progress_.steps = request.run.steps;
  }

  Result<GenerateResult> run() {
    report(GenerateStage::kRegister);
    LUNA_RETURN_IF_ERROR(register_models().with_context("registering the models"));
    const LatentGeometry geometry = latent_geometry(result_.components);
    LUNA_ASSIGN_OR_RETURN(const PictureSize size, picture_size(request_, geometry));
    result_.width = size.width;
    result_.height = size.height;

    Stopwatch watch;
    report(GenerateStage::kEncode);
    LUNA_RETURN_IF_ERROR(encode(geometry, size));
    result_.seconds_encoding = watch.lap();
    report(GenerateStage::kSample);
    LUNA_ASSIGN_OR_RETURN(const SampleReply sampled, sample());
    LUNA_RETURN_IF_ERROR(take_latents(sampled).with_context("sampling"));
    result_.seconds_sampling = watch.lap();
    report(GenerateStage::kDecode);
    LUNA_RETURN_IF_ERROR(decode(sampled).with_context("decoding"));
    result_.seconds_decoding = watch.lap();
    report(GenerateStage::kDone);
    return std::move(result_);
  }

 private:
  void report(GenerateStage stage) {
    const std::lock_guard lock(progress_mutex_);
    progress_.stage = stage;
    progress_.preview.reset();
    if (context_.on_progress) context_.on_progress(progress_);
  }

  Status stopped() const {
    if (!context_.stop.stop_requested()) return {};
    return error(StatusCode::kCancelled, "the generation was cancelled");
  }

  Status register_models() {
    LUNA_RETURN_IF_ERROR(stopped());
    if (!request_.workflow_id.empty()) {
      result_.workflow_id = request_.workflow_id;
      return request_.mask ? ask_for_masked_picture() : Status();
    }
    if (!request_.models.checkpoint && request_.models.slots.empty()) {
      return error(StatusCode::kInvalidArgument,
                   "the request names neither a workflow nor a model file");
    }
    LUNA_ASSIGN_OR_RETURN(WorkflowInfo info, context_.admin->register_workflow(
                                                 workflow_name(request_.models), request_.models,
                                                 kWorkflowTtlSeconds, false, context_.deadline));
    options_.workflow_id = info.id;
    result_.workflow_id = info.id;
    result_.components = std::move(info.components);
    result_.masked_picture = request_.mask && takes_masked_picture(result_.components);
    return {};
  }

  /// What a registered workflow's model takes is not known yet.
  Status ask_for_masked_picture() {
    if (!context_.admin) return {};
    LUNA_ASSIGN_OR_RETURN(const std::vector<WorkflowInfo> all, context_.admin->list_workflows());
    const auto own = std::ranges::find(all, request_.workflow_id, &WorkflowInfo::id);
    result_.masked_picture = own != all.end() && takes_masked_picture(own->components);
    return {};
  }

  Call<EncodeTextReply> start_text(const std::string& text) {
    EncodeTextRequest request;
    request.text = text;
    request.clip_skip = request_.clip_skip;
    request.loras = request_.loras;
    return Call<EncodeTextReply>::start([&](Done<EncodeTextReply> done) {
      return context_.inference->encode_text(options_, std::move(request), std::move(done));
    });
  }

  Status take_text(Call<EncodeTextReply>* call, std::string_view name) {
    Result<EncodeTextReply> reply = call->get(context_.stop);
    if (!reply.ok())
      return reply.status().with_context(fmt::format("encoding the {} prompt", name));
    ConditioningEntry entry;
    entry.cross_attn = std::move(reply->cross_attn);
    entry.pooled = std::move(reply->pooled);
    conditioning_[std::string(name)] = {std::move(entry)};
    for (std::string& warning : reply->warnings) {
      if (std::ranges::find(result_.warnings, warning) == result_.warnings.end()) {
        result_.warnings.push_back(std::move(warning));
      }
    }
    return {};
  }

  Call<VaeEncodeReply> start_picture(TensorRef pixels) {
    VaeEncodeRequest request;
    request.pixels = std::move(pixels);
    return Call<VaeEncodeReply>::start([&](Done<VaeEncodeReply> done) {
      return context_.inference->vae_encode(options_, std::move(request), std::move(done));
    });
  }

  /// Both prompts and the starting pictures at once; a failure cancels what has not ended.
  Status encode(const LatentGeometry& geometry, PictureSize size) {
    LUNA_RETURN_IF_ERROR(stopped());
    start_ = TensorRef{
        {DType::kF32,
         {geometry.channels, size.height / geometry.factor, size.width / geometry.factor}},
        {}};
    Call<EncodeTextReply> positive = start_text(request_.prompt);
    std::optional<Call<EncodeTextReply>> negative;
    if (request_.negative != request_.prompt) negative.emplace(start_text(request_.negative));
    std::optional<Call<VaeEncodeReply>> picture, masked;
    if (request_.image) picture.emplace(start_picture(start_pixels(request_, size)));
    if (request_.mask) mask_ = noise_mask(request_, size);
    if (result_.masked_picture) {
      MaskedPicture without = masked_picture(request_, size);
      masked.emplace(start_picture(std::move(without.pixels)));
      mask_ = std::move(without.mask);
    }
    LUNA_RETURN_IF_ERROR(take_text(&positive, "positive"));
    if (negative) {
      LUNA_RETURN_IF_ERROR(take_text(&*negative, "negative"));
    } else {
      conditioning_["negative"] = conditioning_["positive"];
    }
    if (picture) {
      LUNA_ASSIGN_OR_RETURN(start_, take_latent(&*picture, "encoding the starting picture"));
    }
    if (!masked) return {};
    LUNA_ASSIGN_OR_RETURN(const TensorRef latent,
                          take_latent(&*masked, "encoding the picture without the mask's part"));
    // Its mask is the row's own, which counts where an entry has none.
    for (auto& [name, entries] : conditioning_)
      for (ConditioningEntry& entry : entries) entry.extras["concat_latent_image"] = latent;
    return {};
  }

  /// [C, h, w]
  Result<TensorRef> take_latent(Call<VaeEncodeReply>* call, std::string_view doing) {
    Result<VaeEncodeReply> reply = call->get(context_.stop);
    if (!reply.ok()) return reply.status().with_context(doing);
    TensorRef latent = std::move(reply->latent);
    const auto& shape = latent.spec.shape;
    if (shape.size() != 4 || shape[0] != 1) {
      return error(StatusCode::kInternal, "{}: expected a latent [1,C,h,w], the server sent {}",
                   doing, latent.spec.to_string());
    }
    latent.spec.shape.erase(latent.spec.shape.begin());
    return latent;
  }

  Result<SampleReply> sample() {
    LUNA_RETURN_IF_ERROR(stopped());
    SampleRequest request;
    request.run = request_.run;
    request.previews = request_.previews;
    for (const int index : result_.batch_index) {
      SampleRow row;
      row.latent = start_;
      row.noise_mask = mask_;
      row.noise.seed = request_.seed;
      row.noise.batch_size = static_cast<std::uint32_t>(request_.batch);
      row.noise.batch_index = static_cast<std::uint32_t>(index);
      row.conditioning = conditioning_;
      row.guidance.cfg = request_.cfg;
      row.loras = request_.loras;
      request.rows.push_back(std::move(row));
    }
    clock_.emplace(std::chrono::steady_clock::now());
    auto call = Call<SampleReply>::start([&](Done<SampleReply> done) {
      return context_.inference->sample(
          options_, std::move(request), [this](const SampleProgress& step) { on_step(step); },
          std::move(done));
    });
    Result<SampleReply> reply = call.get(context_.stop);
    if (!reply.ok()) return reply.status().with_context("sampling");
    return reply;
  }

  void on_step(const SampleProgress& step) {
    const std::lock_guard lock(progress_mutex_);
    clock_->step_finished(step.step, std::chrono::steady_clock::now());
    progress_.step = step.step;
    if (step.steps > 0) progress_.steps = step.steps;
    progress_.rows_in_batch = step.rows_in_batch;
    progress_.preview = step.preview;
    progress_.seconds_per_step = clock_->seconds_per_step();
    progress_.seconds_left = clock_->seconds_left(progress_.steps);
    if (context_.on_progress) context_.on_progress(progress_);
  }

  /// Puts the rows' latents one behind the other.
  Status take_latents(const SampleReply& sampled) {
    if (sampled.latents.size() != result_.batch_index.size()) {
      return error(StatusCode::kInternal, "{} latents were asked for, the server sent {}",
                   result_.batch_index.size(), sampled.latents.size());
    }
    std::vector<float> all;
    for (const TensorRef& latent : sampled.latents) {
      if (latent.spec != sampled.latents.front().spec || latent.spec.shape.size() != 3) {
        return error(StatusCode::kInternal, "expected equal latents [C,h,w], the server sent {}",
                     latent.spec.to_string());
      }
      LUNA_ASSIGN_OR_RETURN(const std::vector<float> values, floats_of(latent));
      all.insert(all.end(), values.begin(), values.end());
    }
    std::vector<std::int64_t> shape = sampled.latents.front().spec.shape;
    shape.insert(shape.begin(), static_cast<std::int64_t>(sampled.latents.size()));
    result_.latents = tensor_of(std::move(shape), all);
    result_.evaluations = sampled.evaluations;
    return {};
  }

  Call<VaeDecodeReply> start_decode(TensorRef latent) {
    latent.spec.shape.insert(latent.spec.shape.begin(), 1);
    VaeDecodeRequest request;
    request.latent = std::move(latent);
    request.as_u8 = true;
    return Call<VaeDecodeReply>::start([&](Done<VaeDecodeReply> done) {
      return context_.inference->vae_decode(options_, std::move(request), std::move(done));
    });
  }

  /// A few rows at a time, so that a large batch does not fill the server's queue.
  Status decode(const SampleReply& sampled) {
    std::deque<Call<VaeDecodeReply>> running;
    std::size_t started = 0;
    while (result_.pictures.size() < sampled.latents.size()) {
      LUNA_RETURN_IF_ERROR(stopped());
      while (started < sampled.latents.size() && running.size() < kDecodesInFlight) {
        running.push_back(start_decode(sampled.latents[started++]));
      }
      LUNA_ASSIGN_OR_RETURN(const VaeDecodeReply reply, running.front().get(context_.stop));
      running.pop_front();
      LUNA_RETURN_IF_ERROR(take_picture(reply.pixels));
      {
        const std::lock_guard lock(progress_mutex_);
        progress_.pictures = static_cast<int>(result_.pictures.size());
      }
      report(GenerateStage::kDecode);
    }
    return {};
  }

  Status take_picture(const TensorRef& pixels) {
    const auto& shape = pixels.spec.shape;
    const BytesPtr bytes = pixels.host_bytes();
    if (pixels.spec.dtype != DType::kU8 || shape.size() != 4 || shape[0] != 1 || shape[3] != 3 ||
        !bytes) {
      return error(StatusCode::kInternal, "expected pixels u8[1,H,W,3], the server sent {}",
                   pixels.spec.to_string());
    }
    LUNA_RETURN_IF_ERROR(pixels.validate("pixels"));
    Image image(static_cast<int>(shape[2]), static_cast<int>(shape[1]), 3);
    LUNA_RETURN_IF_ERROR(image.validate());
    std::memcpy(image.pixels.data(), bytes->view().data(), image.pixels.size());
    result_.pictures.push_back(std::move(image));
    return {};
  }

  const GenerateContext& context_;
  const GenerateRequest& request_;
  CallOptions options_;
  ConditioningSets conditioning_;
  TensorRef start_;
  std::optional<TensorRef> mask_;
  std::optional<StepClock> clock_;
  std::mutex progress_mutex_;
  GenerateProgress progress_;
  GenerateResult result_;
};

}  // namespace

Result<GenerateResult> run_generate(const GenerateContext& context,
                                    const GenerateRequest& request) {
  LUNA_RETURN_IF_ERROR(check_request(request));
  Generation generation(context, request);
  return generation.run();
}

}  // namespace luna::client
