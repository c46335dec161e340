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
#include "common/types/model_needs.h"

namespace luna::client {
namespace {

constexpr int kMaxBatch = 1024;
constexpr std::size_t kDecodesInFlight = 8;
/// Pictures of a sample call. As many rows as a worker's forward takes by default: more in a call
/// would not be faster, and the first pictures would come later.
constexpr std::size_t kRowsPerCall = 16;
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
  if (!request.picture_loras.empty() &&
      request.picture_loras.size() != static_cast<std::size_t>(request.batch)) {
    return error(StatusCode::kInvalidArgument,
                 "expected a set of loras for each of {} pictures, found {}", request.batch,
                 request.picture_loras.size());
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
    calls_ = (result_.batch_index.size() + kRowsPerCall - 1) / kRowsPerCall;
  }

  Result<GenerateResult> run() {
    report(GenerateStage::kRegister);
    LUNA_RETURN_IF_ERROR(register_models().with_context("registering the models"));
    const LatentGeometry geometry = latent_geometry(result_.components);
    LUNA_ASSIGN_OR_RETURN(const PictureSize size, picture_size(request_, geometry));
    result_.width = size.width;
    result_.height = size.height;

    start_ = TensorRef{
        {DType::kF32,
         {geometry.channels, size.height / geometry.factor, size.width / geometry.factor}},
        {}};
    for (; call_ < calls_; ++call_) {
      const std::size_t first = call_ * kRowsPerCall;
      LUNA_RETURN_IF_ERROR(make(
          {result_.batch_index.begin() + static_cast<std::ptrdiff_t>(first),
           result_.batch_index.begin() + static_cast<std::ptrdiff_t>(std::min(
                                             first + kRowsPerCall, result_.batch_index.size()))},
          size));
    }
    join_latents();
    const bool none = std::ranges::all_of(
        result_.loras, [](const AppliedLoras& applied) { return applied == AppliedLoras(); });
    if (none) result_.loras.clear();
    report(GenerateStage::kDone);
    return std::move(result_);
  }

 private:
  /// The pictures of one sample call.
  Status make(const std::vector<int>& pictures, PictureSize size) {
    Stopwatch watch;
    report(GenerateStage::kEncode);
    LUNA_RETURN_IF_ERROR(encode(pictures, size));
    result_.seconds_encoding += watch.lap();
    report(GenerateStage::kSample);
    LUNA_ASSIGN_OR_RETURN(const SampleReply sampled, sample(pictures));
    LUNA_RETURN_IF_ERROR(take_latents(sampled, pictures.size()).with_context("sampling"));
    result_.seconds_sampling += watch.lap();
    report(GenerateStage::kDecode);
    LUNA_RETURN_IF_ERROR(decode(sampled, pictures).with_context("decoding"));
    result_.seconds_decoding += watch.lap();
    return {};
  }

  const std::vector<LoraRef>& loras_of(int picture) const {
    return request_.picture_loras.empty()
               ? request_.loras
               : request_.picture_loras[static_cast<std::size_t>(picture)];
  }

  /// What of a picture's set concerns the text encoders.
  std::vector<LoraRef> text_loras_of(int picture) const {
    std::vector<LoraRef> loras = loras_of(picture);
    std::erase_if(loras, [](const LoraRef& lora) { return lora.clip_strength == 0; });
    for (LoraRef& lora : loras) lora.model_strength = 0;
    return loras;
  }

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
    const std::vector<Slot> empty = empty_slots(result_.components);
    if (empty.empty()) return {};
    return error(StatusCode::kFailedPrecondition,
                 "no file of the request fills {}; name one for the slot, or a checkpoint that "
                 "holds it",
                 slots_in_words(empty));
  }

  /// What a registered workflow's model takes is not known yet.
  Status ask_for_masked_picture() {
    if (!context_.admin) return {};
    LUNA_ASSIGN_OR_RETURN(const std::vector<WorkflowInfo> all, context_.admin->list_workflows());
    const auto own = std::ranges::find(all, request_.workflow_id, &WorkflowInfo::id);
    result_.masked_picture = own != all.end() && takes_masked_picture(own->components);
    return {};
  }

  Call<EncodeTextReply> start_text(const std::string& text, const std::vector<LoraRef>& loras) {
    EncodeTextRequest request;
    request.text = text;
    request.clip_skip = request_.clip_skip;
    request.loras = loras;
    return Call<EncodeTextReply>::start([&](Done<EncodeTextReply> done) {
      return context_.inference->encode_text(options_, std::move(request), std::move(done));
    });
  }

  Result<ConditioningEntry> take_text(Call<EncodeTextReply>* call, std::string_view name) {
    Result<EncodeTextReply> reply = call->get(context_.stop);
    if (!reply.ok())
      return reply.status().with_context(fmt::format("encoding the {} prompt", name));
    ConditioningEntry entry;
    entry.cross_attn = std::move(reply->cross_attn);
    entry.pooled = std::move(reply->pooled);
    add_warnings(std::move(reply->warnings));
    return entry;
  }

  void add_warnings(std::vector<std::string> warnings) {
    for (std::string& warning : warnings) {
      if (std::ranges::find(result_.warnings, warning) == result_.warnings.end())
        result_.warnings.push_back(std::move(warning));
    }
  }

  ConditioningSets* conditioning_of(const std::vector<LoraRef>& text_loras) {
    const auto known = std::ranges::find(
        encoded_, text_loras, [](const Encoded& encoded) -> const auto& { return encoded.loras; });
    return known == encoded_.end() ? nullptr : &known->conditioning;
  }

  Call<VaeEncodeReply> start_picture(TensorRef pixels) {
    VaeEncodeRequest request;
    request.pixels = std::move(pixels);
    return Call<VaeEncodeReply>::start([&](Done<VaeEncodeReply> done) {
      return context_.inference->vae_encode(options_, std::move(request), std::move(done));
    });
  }

  /// Both prompts, for each set of text encoder LoRAs that is new, and the starting pictures at
  /// once; a failure cancels what has not ended.
  Status encode(const std::vector<int>& pictures, PictureSize size) {
    LUNA_RETURN_IF_ERROR(stopped());
    struct Texts {
      std::vector<LoraRef> loras;
      Call<EncodeTextReply> positive;
      std::optional<Call<EncodeTextReply>> negative;
    };
    std::vector<Texts> running;
    for (const int picture : pictures) {
      std::vector<LoraRef> loras = text_loras_of(picture);
      const bool begun =
          std::ranges::any_of(running, [&](const Texts& texts) { return texts.loras == loras; });
      if (begun || conditioning_of(loras)) continue;
      Texts texts{loras, start_text(request_.prompt, loras), {}};
      if (request_.negative != request_.prompt)
        texts.negative.emplace(start_text(request_.negative, loras));
      running.push_back(std::move(texts));
    }
    std::optional<Call<VaeEncodeReply>> picture, masked;
    if (call_ == 0 && request_.image) picture.emplace(start_picture(start_pixels(request_, size)));
    if (call_ == 0 && request_.mask) mask_ = noise_mask(request_, size);
    if (call_ == 0 && result_.masked_picture) {
      MaskedPicture without = masked_picture(request_, size);
      masked.emplace(start_picture(std::move(without.pixels)));
      mask_ = std::move(without.mask);
    }
    for (Texts& texts : running) {
      ConditioningSets sets;
      LUNA_ASSIGN_OR_RETURN(ConditioningEntry positive, take_text(&texts.positive, "positive"));
      sets["positive"] = {std::move(positive)};
      sets["negative"] = sets["positive"];
      if (texts.negative) {
        LUNA_ASSIGN_OR_RETURN(ConditioningEntry negative, take_text(&*texts.negative, "negative"));
        sets["negative"] = {std::move(negative)};
      }
      encoded_.push_back({std::move(texts.loras), std::move(sets)});
    }
    if (picture) {
      LUNA_ASSIGN_OR_RETURN(start_, take_latent(&*picture, "encoding the starting picture"));
    }
    if (!masked) return {};
    LUNA_ASSIGN_OR_RETURN(masked_latent_,
                          take_latent(&*masked, "encoding the picture without the mask's part"));
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

  ConditioningSets conditioning_of_picture(int picture) {
    ConditioningSets sets = *conditioning_of(text_loras_of(picture));
    if (!masked_latent_) return sets;
    // Its mask is the row's own, which counts where an entry has none.
    for (auto& [name, entries] : sets)
      for (ConditioningEntry& entry : entries)
        entry.extras["concat_latent_image"] = *masked_latent_;
    return sets;
  }

  Result<SampleReply> sample(const std::vector<int>& pictures) {
    LUNA_RETURN_IF_ERROR(stopped());
    SampleRequest request;
    request.run = request_.run;
    request.previews = request_.previews;
    request.lora_application = request_.lora_application;
    for (const int index : pictures) {
      SampleRow row;
      row.latent = start_;
      row.noise_mask = mask_;
      row.noise.seed = request_.seed;
      row.noise.batch_size = static_cast<std::uint32_t>(request_.batch);
      row.noise.batch_index = static_cast<std::uint32_t>(index);
      row.conditioning = conditioning_of_picture(index);
      row.guidance.cfg = request_.cfg;
      row.loras = loras_of(index);
      request.rows.push_back(std::move(row));
    }
    if (!clock_) clock_.emplace(std::chrono::steady_clock::now());
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
    const int steps = step.steps > 0 ? step.steps : request_.run.steps;
    progress_.step = static_cast<int>(call_) * steps + step.step;
    progress_.steps = static_cast<int>(calls_) * steps;
    clock_->step_finished(progress_.step, std::chrono::steady_clock::now());
    progress_.rows_in_batch = step.rows_in_batch;
    progress_.preview = step.preview;
    progress_.seconds_per_step = clock_->seconds_per_step();
    progress_.seconds_left = clock_->seconds_left(progress_.steps);
    if (context_.on_progress) context_.on_progress(progress_);
  }

  Status take_latents(const SampleReply& sampled, std::size_t wanted) {
    if (sampled.latents.size() != wanted) {
      return error(StatusCode::kInternal, "{} latents were asked for, the server sent {}", wanted,
                   sampled.latents.size());
    }
    for (const TensorRef& latent : sampled.latents) {
      if (latents_.empty()) latent_spec_ = latent.spec;
      if (latent.spec != latent_spec_ || latent.spec.shape.size() != 3) {
        return error(StatusCode::kInternal, "expected equal latents [C,h,w], the server sent {}",
                     latent.spec.to_string());
      }
      LUNA_ASSIGN_OR_RETURN(const std::vector<float> values, floats_of(latent));
      latents_.insert(latents_.end(), values.begin(), values.end());
    }
    result_.evaluations += sampled.evaluations;
    result_.loras.insert(result_.loras.end(), sampled.loras.begin(), sampled.loras.end());
    // A call without any says nothing of its rows.
    if (sampled.loras.empty()) result_.loras.resize(result_.loras.size() + wanted);
    add_warnings(sampled.warnings);
    return {};
  }

  /// Puts the rows' latents one behind the other.
  void join_latents() {
    std::vector<std::int64_t> shape = latent_spec_.shape;
    shape.insert(shape.begin(), static_cast<std::int64_t>(result_.batch_index.size()));
    result_.latents = tensor_of(std::move(shape), latents_);
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
  Status decode(const SampleReply& sampled, const std::vector<int>& pictures) {
    std::deque<Call<VaeDecodeReply>> running;
    std::size_t started = 0;
    for (const int picture : pictures) {
      LUNA_RETURN_IF_ERROR(stopped());
      while (started < sampled.latents.size() && running.size() < kDecodesInFlight) {
        running.push_back(start_decode(sampled.latents[started++]));
      }
      LUNA_ASSIGN_OR_RETURN(const VaeDecodeReply reply, running.front().get(context_.stop));
      running.pop_front();
      LUNA_RETURN_IF_ERROR(take_picture(reply.pixels, picture));
      {
        const std::lock_guard lock(progress_mutex_);
        ++progress_.pictures;
      }
      report(GenerateStage::kDecode);
    }
    return {};
  }

  Status take_picture(const TensorRef& pixels, int picture) {
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
    if (context_.on_picture)
      return context_.on_picture(
          {std::move(image), picture, loras_of(picture), result_.masked_picture});
    result_.pictures.push_back(std::move(image));
    return {};
  }

  const GenerateContext& context_;
  const GenerateRequest& request_;
  CallOptions options_;
  struct Encoded {
    std::vector<LoraRef> loras;  ///< as text_loras_of() gives them
    ConditioningSets conditioning;
  };
  std::vector<Encoded> encoded_;
  std::size_t call_ = 0, calls_ = 1;  ///< of sampling: the one under way, and all
  TensorSpec latent_spec_;
  std::vector<float> latents_;  ///< of all pictures so far
  TensorRef start_;
  std::optional<TensorRef> mask_, masked_latent_;
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
