#include "daemon/worker/engine/guided_rows.h"

#include <algorithm>
#include <utility>

#include "daemon/worker/sampling/guidance.h"

namespace luna::worker {
namespace {

// What ComfyUI starts a sum of weights with, so that a place without any is 0 and not 0/0.
constexpr double kNoWeight = 1e-37;

at::Tensor stacked(const std::vector<at::Tensor>& rows) {
  return rows.size() == 1 ? rows.front() : at::cat(rows);
}

}  // namespace

GuidedRows::GuidedRows(const SamplePlan& plan, const at::Tensor& x, double sigma, bool wants_uncond)
    : plan_(plan), sigma_(sigma), wants_uncond_(wants_uncond) {
  x_ = plan.mask.defined()
           ? inpaint_input(x, plan.mask, sigma, plan.inpaint_noise, plan.latent, *plan.sampling)
           : x;
  const at::Tensor sigmas = at::full({x.size(0)}, sigma, x_.options());
  scaled_ = plan.sampling->calculate_input(sigmas, x_).to(plan.rows.front().model->compute_type());
  for (std::size_t row = 0; row < plan.rows.size(); ++row) add_parts(row, false);
  for (std::size_t row = 0; row < plan.rows.size(); ++row)
    if (evaluates_negative(row)) add_parts(row, true);
}

bool GuidedRows::evaluates_negative(std::size_t row) const {
  return wants_uncond_ || !plan_.rows[row].guider.ignores_negative(sigma_);
}

void GuidedRows::add_parts(std::size_t row, bool negative) {
  const SamplePlan::Row& planned = plan_.rows[row];
  const auto& entries = negative ? planned.negative : planned.positive;
  const std::size_t first = parts_.size();
  for (const ActiveEntry& entry : entries) {
    if (!entry.is_default && entry.active_at(sigma_))
      parts_.push_back({row, negative, &entry, entry.region.weight});
  }
  const auto is_default = [](const ActiveEntry& entry) { return entry.is_default; };
  if (std::ranges::any_of(entries, is_default)) add_default_parts(row, negative, first);
}

/// Default entries weigh what the parts from `first_part` on leave of 1.
void GuidedRows::add_default_parts(std::size_t row, bool negative, std::size_t first_part) {
  const at::Tensor state = row_of_state(x_, row);
  at::Tensor left = at::ones({1, 1, state.size(2), state.size(3)}, state.options());
  for (std::size_t i = first_part; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (part.weight.defined()) {
      part.entry->region.of(left).sub_(part.weight);
    } else {
      left.sub_(part.entry->strength);
    }
  }
  left.relu_();
  if (left.max().item<float>() == 0) return;
  for (const ActiveEntry& entry : negative ? plan_.rows[row].negative : plan_.rows[row].positive) {
    if (entry.is_default && entry.active_at(sigma_))
      parts_.push_back({row, negative, &entry, left});
  }
}

ModelRow GuidedRows::model_row(std::size_t index) const {
  const Part& part = parts_[index];
  const EntryRegion& region = part.entry->region;
  ModelRow row = {plan_.rows[part.row].model,
                  region.of(row_of_state(scaled_, part.row)),
                  static_cast<float>(plan_.sampling->timestep(sigma_)),
                  part.entry->context,
                  part.entry->extras,
                  plan_.rows[part.row].adapters};
  if (!region.crop) return row;
  row.x = row.x.contiguous();
  if (const auto concat = row.extras.find("c_concat"); concat != row.extras.end())
    concat->second = region.of(concat->second).contiguous();
  return row;
}

/// x0 of every part, over its region.
std::vector<at::Tensor> GuidedRows::denoised_parts(const std::vector<at::Tensor>& outputs) const {
  std::vector<at::Tensor> denoised(parts_.size());
  std::vector<at::Tensor> states, whole_outputs;
  std::vector<std::size_t> whole;
  const auto x0_of = [&](const at::Tensor& output, const at::Tensor& state) {
    const at::Tensor sigmas = at::full({output.size(0)}, sigma_, x_.options());
    return plan_.sampling->calculate_denoised(sigmas, output.to(at::kFloat), state);
  };
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const at::Tensor state = parts_[i].entry->region.of(row_of_state(x_, parts_[i].row));
    if (parts_[i].entry->region.crop) {
      denoised[i] = x0_of(outputs[i], state);
      continue;
    }
    whole.push_back(i);
    states.push_back(state);
    whole_outputs.push_back(outputs[i]);
  }
  if (whole.empty()) return denoised;
  const at::Tensor together = x0_of(at::cat(whole_outputs), at::cat(states));
  for (std::size_t i = 0; i < whole.size(); ++i) denoised[whole[i]] = row_of_state(together, i);
  return denoised;
}

at::Tensor GuidedRows::mean_of(std::size_t row, bool negative,
                               const std::vector<at::Tensor>& denoised) const {
  std::vector<std::size_t> own;
  bool even = true;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].row != row || parts_[i].negative != negative) continue;
    own.push_back(i);
    even = even && !parts_[i].weight.defined();
  }
  const at::Tensor state = row_of_state(x_, row);
  if (even) {
    at::Tensor sum;
    double strength = 0;
    for (const std::size_t i : own) {
      const double its = parts_[i].entry->strength;
      // A lone entry of any strength but 0 is its own mean.
      const at::Tensor weighted = its == 1 ? denoised[i] : denoised[i] * its;
      sum = sum.defined() ? sum + weighted : weighted;
      strength += its;
    }
    if (!sum.defined() || strength == 0) return at::zeros_like(state);
    return strength == 1 ? sum : sum / strength;
  }
  at::Tensor sum = at::zeros_like(state);
  at::Tensor weights = at::full({1, 1, state.size(2), state.size(3)}, kNoWeight, state.options());
  for (const std::size_t i : own) {
    const EntryRegion& region = parts_[i].entry->region;
    if (parts_[i].weight.defined()) {
      region.of(sum).add_(denoised[i] * parts_[i].weight);
      region.of(weights).add_(parts_[i].weight);
    } else {
      sum.add_(denoised[i] * parts_[i].entry->strength);
      weights.add_(parts_[i].entry->strength);
    }
  }
  return sum / weights;
}

GuidedRows::Denoised GuidedRows::combine(const std::vector<at::Tensor>& outputs) const {
  const std::vector<at::Tensor> denoised = denoised_parts(outputs);
  std::vector<at::Tensor> guided, uncond;
  for (std::size_t row = 0; row < plan_.rows.size(); ++row) {
    const at::Tensor positive = mean_of(row, false, denoised);
    at::Tensor negative;
    if (evaluates_negative(row)) negative = mean_of(row, true, denoised);
    guided.push_back(
        plan_.rows[row].guider.combine(positive, negative, row_of_state(x_, row), sigma_));
    if (wants_uncond_) uncond.push_back(negative);
  }
  Denoised result;
  result.guided = stacked(guided);
  if (wants_uncond_) result.uncond = stacked(uncond);
  if (plan_.mask.defined()) result.guided = inpaint_output(result.guided, plan_.mask, plan_.latent);
  return result;
}

}  // namespace luna::worker
