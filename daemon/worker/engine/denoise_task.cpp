#include "daemon/worker/engine/denoise_task.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "daemon/worker/engine/result_ref.h"
#include "daemon/worker/engine/row_extras.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxRows = 256;
constexpr const char* kTimestep = "timestep";

/// What the network shall be fed instead of the noise process's own number; none: the row is an
/// ordinary one.
Result<std::optional<float>> given_timestep(const DenoiseRow& row, const std::string& what) {
  const auto found = row.extras.find(kTimestep);
  if (found == row.extras.end()) return std::optional<float>();
  const std::string field = fmt::format("{}.extras.{}", what, kTimestep);
  if (found->second.spec.numel() != 1) {
    return error(StatusCode::kInvalidArgument, "{}: expected one number, found {}", field,
                 found->second.spec.to_string());
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor number, finite_floats(found->second, field));
  return std::optional(number.item<float>());
}

}  // namespace

DenoiseTask::DenoiseTask(TaskServices& services, TaskTicket ticket, DenoiseRequest request,
                         RowModels models)
    : services_(services),
      ticket_(std::move(ticket)),
      request_(std::move(request)),
      models_(std::move(models)),
      model_(models_.rows.front().model) {}

DenoiseTask::~DenoiseTask() { services_.rows.drop(this); }

Status DenoiseTask::start() {
  if (request_.rows.empty() || request_.rows.size() > kMaxRows) {
    return error(StatusCode::kInvalidArgument, "rows: expected 1..{}, found {}", kMaxRows,
                 request_.rows.size());
  }
  LUNA_ASSIGN_OR_RETURN(sampling_, sampling_of(model_->traits()));
  rows_.resize(request_.rows.size());
  std::vector<ModelRow> prepared;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    LUNA_ASSIGN_OR_RETURN(ModelRow row, prepare(i));
    prepared.push_back(std::move(row));
  }
  missing_ = prepared.size();
  for (std::size_t i = 0; i < prepared.size(); ++i)
    services_.rows.add(this, i, std::move(prepared[i]));
  return {};
}

Result<ModelRow> DenoiseTask::prepare(std::size_t index) {
  const DenoiseRow& row = request_.rows[index];
  const std::string what = fmt::format("rows[{}]", index);
  if (!std::isfinite(row.sigma) || row.sigma < 0) {
    return error(StatusCode::kInvalidArgument,
                 "{}.sigma: expected a finite number of 0 or more, found {}", what, row.sigma);
  }
  const ConditioningEntry& entry_asked = row.conditioning;
  if (entry_asked.strength != 1 || entry_asked.start_percent != 0 || entry_asked.end_percent != 1) {
    return error(
        StatusCode::kInvalidArgument,
        "{}.conditioning: one evaluation takes strength 1 and the range 0..1, found {} and {}..{}",
        what, entry_asked.strength, entry_asked.start_percent, entry_asked.end_percent);
  }
  if (entry_asked.area || entry_asked.mask || entry_asked.is_default) {
    return error(StatusCode::kInvalidArgument,
                 "{}.conditioning: one evaluation is of all of x, expected no area, mask or "
                 "is_default",
                 what);
  }
  LUNA_ASSIGN_OR_RETURN(const at::Tensor x,
                        latent_row(row.x, what + ".x", model_->traits().latent_channels));
  const EntryPlace place{x.size(1), x.size(2), false};
  LUNA_ASSIGN_OR_RETURN(const std::optional<float> timestep, given_timestep(row, what));
  DenoiseRow conditions = row;  // what the conditioning is made of, and kept by
  conditions.extras.erase(kTimestep);
  const auto make = [&]() -> Result<ActiveEntry> {
    LUNA_ASSIGN_OR_RETURN(auto given,
                          row_extras(conditions.extras, what + ".extras", *model_, place));
    return active_entry(row.conditioning, what + ".conditioning", *model_, *sampling_, place,
                        std::move(given));
  };
  LUNA_ASSIGN_OR_RETURN(const ActiveEntry entry,
                        services_.entries.get(conditions, model_, place, make));
  const std::uint64_t needed =
      model_->activation_bytes(1, static_cast<int>(x.size(1)), static_cast<int>(x.size(2)),
                               static_cast<int>(entry.context.size(1)));
  if (const std::uint64_t free = services_.free_bytes(); needed > free) {
    return error(StatusCode::kResourceExhausted,
                 "{}.x: {} needs about {} MiB for one evaluation, {} MiB are free", what,
                 row.x.spec.to_string(), needed >> 20, free >> 20);
  }
  return torch_call(what, [&] {
    rows_[index].sigma = row.sigma;
    rows_[index].raw = timestep.has_value();
    rows_[index].x = x.unsqueeze(0).to(model_->device());
    const at::Tensor sigma = at::full({1}, row.sigma, rows_[index].x.options());
    const at::Tensor input =
        timestep ? rows_[index].x : sampling_->calculate_input(sigma, rows_[index].x);
    return ModelRow{models_.rows[index].model.get(),
                    input.to(model_->compute_type()),
                    timestep ? *timestep : static_cast<float>(sampling_->timestep(row.sigma)),
                    entry.context,
                    entry.extras,
                    &models_.rows[index].adapters};
  });
}

void DenoiseTask::row_done(std::size_t index, RowResult result) {
  rows_[index].result = std::move(result);
  --missing_;
}

void DenoiseTask::row_failed(std::size_t index, const Status& status) {
  services_.rows.drop(this);
  finish(status.with_context(fmt::format("rows[{}], sigma {:.6g}", index, rows_[index].sigma)));
}

void DenoiseTask::advance() {
  if (rows_.empty() || missing_ > 0 || finished()) return;
  finish(torch_call("finishing an evaluation", [&] { return make_reply(); }));
}

Result<JobReply> DenoiseTask::make_reply() {
  DenoiseReply reply{{}, models_.applied, models_.warnings};
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    if (!row.result.finite.item<bool>()) {
      return error(StatusCode::kInvalidArgument,
                   "rows[{}], sigma {:.6g}: the model's prediction has NaN or infinite values", i,
                   row.sigma);
    }
    const at::Tensor sigma = at::full({1}, row.sigma, row.x.options());
    const at::Tensor output = row.result.output.to(at::kFloat);
    const at::Tensor x0 = row.raw ? output : sampling_->calculate_denoised(sigma, output, row.x);
    LUNA_ASSIGN_OR_RETURN(TensorRef denoised, result_ref(x0[0], services_, ticket_));
    reply.denoised.push_back(std::move(denoised));
    reply.seconds_on_device = std::max(reply.seconds_on_device, row.result.seconds);
  }
  return JobReply(std::move(reply));
}

}  // namespace luna::worker
