#include "daemon/worker/engine/sample_task.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "common/log/log.h"
#include "daemon/worker/engine/latent_preview.h"
#include "daemon/worker/engine/result_ref.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

/// The schedule's first sigma is the model's largest: the start is pure noise.
bool starts_at_full_noise(const ModelSampling& sampling, double sigma) {
  const double largest = sampling.sigma_max();
  return sigma > largest || std::abs(sigma - largest) <= 1e-5 * std::max(std::abs(sigma), largest);
}

}  // namespace

SampleTask::SampleTask(TaskServices& services, TaskTicket ticket, SampleRequest request,
                       RowModels models, std::shared_ptr<const TaesdDecoder> preview_decoder)
    : services_(services),
      ticket_(std::move(ticket)),
      request_(std::move(request)),
      models_(std::move(models)),
      model_(models_.rows.front().model),
      preview_decoder_(std::move(preview_decoder)),
      finite_(services.device) {}

SampleTask::~SampleTask() { services_.rows.drop(this); }

Status SampleTask::check_memory() const {
  std::int64_t tokens = 1;
  for (const SamplePlan::Row& row : plan_.rows) {
    for (const auto* entries : {&row.positive, &row.negative}) {
      for (const ActiveEntry& entry : *entries) tokens = std::max(tokens, entry.context.size(1));
    }
  }
  const auto height = plan_.latent.size(2), width = plan_.latent.size(3);
  const std::uint64_t needed = model_->activation_bytes(
      1, static_cast<int>(height), static_cast<int>(width), static_cast<int>(tokens));
  const std::uint64_t free = services_.free_bytes();
  if (needed <= free) return {};
  return error(StatusCode::kResourceExhausted,
               "a latent of {} x {} needs about {} MiB for one evaluation, {} MiB are free", height,
               width, needed >> 20, free >> 20);
}

Status SampleTask::check_previews() const {
  const PreviewOptions& previews = request_.previews;
  if (previews.every_steps < 0 ||
      (previews.every_steps > 0 && (previews.max_edge < 1 || previews.max_edge > 8192))) {
    return error(
        StatusCode::kInvalidArgument,
        "previews: expected every_steps of 0 or more and max_edge in 1..8192, found {} and {}",
        previews.every_steps, previews.max_edge);
  }
  if (previews.every_steps == 0) return {};
  const DenoiserTraits& traits = model_->traits();
  if (!preview_decoder_) {
    if (has_latent_preview(traits)) return {};
    return error(StatusCode::kUnimplemented,
                 "previews: family {} has no colours; register a preview model (a TAESD decoder "
                 "below vae_approx/) with the workflow",
                 traits.family);
  }
  if (preview_decoder_->latent_channels() == traits.latent_channels) return {};
  return error(StatusCode::kFailedPrecondition,
               "previews: the preview model decodes latents of {} channels, the UNet ({}) makes {}",
               preview_decoder_->latent_channels(), traits.family, traits.latent_channels);
}

Status SampleTask::start() {
  LUNA_RETURN_IF_ERROR(check_previews());
  LUNA_ASSIGN_OR_RETURN(plan_, plan_sample(request_, *model_));
  for (std::size_t i = 0; i < plan_.rows.size(); ++i) {
    plan_.rows[i].model = models_.rows[i].model.get();
    plan_.rows[i].adapters = &models_.rows[i].adapters;
  }
  LUNA_RETURN_IF_ERROR(check_memory());
  LUNA_RETURN_IF_ERROR(torch_call("beginning a trajectory", [&] {
    if (plan_.sigmas.size() < 2) {
      finish_trajectory();
      return;
    }
    const double first = plan_.sigmas.front();
    const at::Tensor x = plan_.sampling->noise_scaling(
        first, plan_.noise, plan_.latent, starts_at_full_noise(*plan_.sampling, first));
    step_noise_ = make_step_noise(plan_.step_noise, plan_.latent.sizes().slice(1), services_.device,
                                  plan_.sigmas);
    context_ = std::make_unique<SamplerContext>(
        SamplerContext{*this, *plan_.sampling, plan_.sigmas, *step_noise_, request_.run.options,
                       [this](int step, const at::Tensor&, const at::Tensor& denoised,
                              double sigma) { step_done(step, denoised, sigma); }});
    trajectory_ = plan_.sampler(*context_, x);
    trajectory_.start();
    trajectory_.done() ? finish_trajectory() : begin_evaluation();
  }));
  advance();  // a step at which no entry is active waits for nobody
  return {};
}

void SampleTask::begin_evaluation() {
  rows_ = std::make_unique<GuidedRows>(plan_, evaluation_->x, evaluation_->sigma,
                                       evaluation_->wants_uncond);
  results_.assign(rows_->size(), {});
  missing_ = rows_->size();
  waiting_ = true;
  rows_in_batch_ = 0;
  evaluations_ += rows_->size();
  for (std::size_t i = 0; i < rows_->size(); ++i) services_.rows.add(this, i, rows_->model_row(i));
}

void SampleTask::row_done(std::size_t index, RowResult result) {
  rows_in_batch_ = std::max(rows_in_batch_, result.rows_in_batch);
  results_[index] = std::move(result);
  --missing_;
}

void SampleTask::row_failed(std::size_t index, const Status& status) {
  services_.rows.drop(this);
  finish(status.with_context(fmt::format("rows[{}], {}", rows_->row_of(index),
                                         progress_text(steps_done_, evaluation_->sigma))));
}

std::string SampleTask::progress_text(int step, double sigma) const {
  return fmt::format("step {} of {}, sigma {:.6g}", step + 1, plan_.sigmas.size() - 1, sigma);
}

void SampleTask::advance() {
  while (waiting_ && missing_ == 0 && !finished()) {
    const Status status = torch_call("a sampler's step", [&] { end_evaluation(); });
    if (!status.ok()) finish(status);
  }
}

void SampleTask::end_evaluation() {
  std::vector<at::Tensor> outputs, finite;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < results_.size(); ++i) {
    outputs.push_back(std::move(results_[i].output));
    finite.push_back(std::move(results_[i].finite));
    rows.push_back(rows_->row_of(i));
  }
  finite_.add(finite, std::move(rows), evaluation_->sigma, steps_done_);
  if (const Status status = check_finite(false); !status.ok()) return finish(status);

  GuidedRows::Denoised denoised = rows_->combine(outputs);
  Evaluation& evaluation = *evaluation_;
  evaluation.denoised = std::move(denoised.guided);
  evaluation.uncond_denoised = std::move(denoised.uncond);
  waiting_ = false;
  evaluation_ = nullptr;
  evaluation.waiter.resume();
  trajectory_.done() ? finish_trajectory() : begin_evaluation();
}

Status SampleTask::check_finite(bool all) {
  const auto bad = finite_.find(all);
  if (!bad) return {};
  return error(StatusCode::kInvalidArgument,
               "rows[{}], {}: the model's prediction has NaN or infinite values", bad->row,
               progress_text(bad->step, bad->sigma));
}

void SampleTask::step_done(int step, const at::Tensor& denoised, double sigma) {
  steps_done_ = step + 1;
  if (!ticket_.on_progress) return;
  SampleProgress progress{
      steps_done_, static_cast<int>(plan_.sigmas.size()) - 1, sigma, rows_in_batch_, {}};
  const int every = request_.previews.every_steps;
  if (every > 0 && steps_done_ % every == 0) {
    auto preview = preview_of(denoised);
    if (preview.ok()) {
      progress.preview = std::move(preview).value();
    } else if (!std::exchange(preview_failed_, true)) {
      log::logger("engine").warn("workflow {}: no preview of step {}: {}", ticket_.workflow,
                                 steps_done_, preview.status().to_string());
    }
  }
  ticket_.on_progress(progress);
}

Result<TensorRef> SampleTask::preview_of(const at::Tensor& denoised) const {
  const int edge = request_.previews.max_edge;
  const auto height = denoised.size(2), width = denoised.size(3);
  if (preview_decoder_ &&
      preview_decoder_->activation_bytes(height, width) > services_.free_bytes()) {
    return error(StatusCode::kResourceExhausted, "too little memory is free");
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor pixels, torch_call("decoding a preview", [&] {
                          return preview_decoder_
                                     ? decoded_preview(*preview_decoder_, denoised, edge)
                                     : latent_preview(model_->traits(), denoised, edge);
                        }));
  return tensor_ref_of(pixels, services_.make_bytes);
}

void SampleTask::finish_trajectory() {
  if (const Status status = check_finite(true); !status.ok()) return finish(status);
  at::Tensor x = plan_.latent;
  if (plan_.sigmas.size() >= 2) {
    x = plan_.sampling->inverse_noise_scaling(plan_.sigmas.back(), trajectory_.result());
  }
  x = latent_from_model(x.to(at::kFloat), model_->traits()).to(result_device(services_, ticket_));
  SampleReply reply{{}, plan_.sigmas, evaluations_, models_.applied, models_.warnings};
  for (std::int64_t row = 0; row < x.size(0); ++row) {
    auto latent = result_ref(x[row], services_, ticket_);
    if (!latent.ok()) return finish(latent.status());
    reply.latents.push_back(std::move(latent).value());
  }
  finish(JobReply(std::move(reply)));
}

}  // namespace luna::worker
