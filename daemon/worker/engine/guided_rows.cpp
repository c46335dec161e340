#include "daemon/worker/engine/guided_rows.h"

#include <utility>

#include "daemon/worker/sampling/guidance.h"

namespace luna::worker {

GuidedRows::GuidedRows(const SamplePlan& plan, const at::Tensor& x, double sigma, bool wants_uncond)
    : plan_(plan), sigma_(sigma), wants_uncond_(wants_uncond) {
  x_ = plan.mask.defined()
           ? inpaint_input(x, plan.mask, sigma, plan.inpaint_noise, plan.latent, *plan.sampling)
           : x;
  const at::Tensor sigmas = at::full({x.size(0)}, sigma, x_.options());
  scaled_ = plan.sampling->calculate_input(sigmas, x_).to(plan.rows.front().model->compute_type());
  add_parts(Sign::kPositive, wants_uncond);
  add_parts(Sign::kNegative, wants_uncond);
}

void GuidedRows::add_parts(Sign sign, bool wants_uncond) {
  for (std::size_t row = 0; row < plan_.rows.size(); ++row) {
    const SamplePlan::Row& planned = plan_.rows[row];
    const bool negative = sign == Sign::kNegative;
    if (negative && cfg_ignores_uncond(planned.cfg) && !wants_uncond) continue;
    for (const ActiveEntry& entry : negative ? planned.negative : planned.positive) {
      if (entry.active_at(sigma_)) parts_.push_back({row, sign, &entry});
    }
  }
}

ModelRow GuidedRows::model_row(std::size_t index) const {
  const Part& part = parts_[index];
  return {plan_.rows[part.row].model,
          scaled_.narrow(0, static_cast<std::int64_t>(part.row), 1),
          static_cast<float>(plan_.sampling->timestep(sigma_)),
          part.entry->context,
          part.entry->extras,
          plan_.rows[part.row].adapters};
}

at::Tensor GuidedRows::mean_of(Sign sign, const at::Tensor& denoised) const {
  std::vector<at::Tensor> sums(plan_.rows.size());
  std::vector<double> strengths(plan_.rows.size(), 0);
  std::vector<int> counts(plan_.rows.size(), 0);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (part.sign != sign) continue;
    const at::Tensor own = denoised.narrow(0, static_cast<std::int64_t>(i), 1);
    // A lone entry of any strength but 0 is its own mean.
    const at::Tensor weighted = part.entry->strength == 1 ? own : own * part.entry->strength;
    sums[part.row] = counts[part.row] == 0 ? weighted : sums[part.row] + weighted;
    strengths[part.row] += part.entry->strength;
    ++counts[part.row];
  }
  for (std::size_t row = 0; row < sums.size(); ++row) {
    if (counts[row] == 0 || strengths[row] == 0) {
      sums[row] = at::zeros_like(x_.narrow(0, static_cast<std::int64_t>(row), 1));
    } else if (strengths[row] != 1) {
      sums[row] = sums[row] / strengths[row];
    }
  }
  return sums.size() == 1 ? sums.front() : at::cat(sums);
}

GuidedRows::Denoised GuidedRows::combine(const std::vector<at::Tensor>& outputs) const {
  at::Tensor denoised;
  if (!parts_.empty()) {
    std::vector<at::Tensor> states;
    for (const Part& part : parts_)
      states.push_back(x_.narrow(0, static_cast<std::int64_t>(part.row), 1));
    const at::Tensor output = at::cat(outputs).to(at::kFloat);
    const at::Tensor sigmas = at::full({output.size(0)}, sigma_, x_.options());
    denoised = plan_.sampling->calculate_denoised(sigmas, output, at::cat(states));
  }
  const at::Tensor positive = mean_of(Sign::kPositive, denoised);
  Denoised result;
  at::Tensor negative;
  std::vector<at::Tensor> guided;
  for (std::size_t row = 0; row < plan_.rows.size(); ++row) {
    const auto at_row = static_cast<std::int64_t>(row);
    const double cfg = plan_.rows[row].cfg;
    if (cfg_ignores_uncond(cfg)) {
      guided.push_back(positive.narrow(0, at_row, 1));
      continue;
    }
    if (!negative.defined()) negative = mean_of(Sign::kNegative, denoised);
    guided.push_back(
        cfg_combine(positive.narrow(0, at_row, 1), negative.narrow(0, at_row, 1), cfg));
  }
  result.guided = guided.size() == 1 ? guided.front() : at::cat(guided);
  if (wants_uncond_)
    result.uncond = negative.defined() ? negative : mean_of(Sign::kNegative, denoised);
  if (plan_.mask.defined()) result.guided = inpaint_output(result.guided, plan_.mask, plan_.latent);
  return result;
}

}  // namespace luna::worker
