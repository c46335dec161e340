#include "daemon/worker/engine/sample_plan.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "daemon/worker/ops/tensor_ref.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/sampling/schedule.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxRows = 256;
constexpr std::size_t kMaxEntries = 64;
constexpr std::uint32_t kMaxNoiseBatch = 4096;
constexpr std::int64_t kMaxNoiseElements = std::int64_t{1} << 29;  // of one draw: 2 GiB

Status check_row(const SampleRow& row, const std::string& what) {
  if (!row.extras.empty()) {
    return error(StatusCode::kUnimplemented, "{}.extras.{} is not served by this version", what,
                 row.extras.begin()->first);
  }
  const NoiseSpec& noise = row.noise;
  if (noise.batch_size < 1 || noise.batch_size > kMaxNoiseBatch ||
      noise.batch_index >= noise.batch_size) {
    return error(
        StatusCode::kInvalidArgument,
        "{}.noise: expected a batch_size in 1..{} and a batch_index below it, found {} and {}",
        what, kMaxNoiseBatch, noise.batch_size, noise.batch_index);
  }
  for (const auto& [name, entries] : row.conditioning) {
    if (name != "positive" && name != "negative") {
      return error(StatusCode::kUnimplemented,
                   "{}.conditioning: only positive and negative are served, found '{}'", what,
                   name);
    }
    if (entries.size() > kMaxEntries) {
      return error(StatusCode::kInvalidArgument,
                   "{}.conditioning.{}: expected at most {} entries, found {}", what, name,
                   kMaxEntries, entries.size());
    }
  }
  return {};
}

Result<std::vector<ActiveEntry>> entries_of(const SampleRow& row, const std::string& name,
                                            const std::string& what, const DenoisingModel& model,
                                            const ModelSampling& sampling,
                                            const EntryPlace& place) {
  std::vector<ActiveEntry> active;
  const auto set = row.conditioning.find(name);
  if (set == row.conditioning.end()) return active;
  for (std::size_t i = 0; i < set->second.size(); ++i) {
    LUNA_ASSIGN_OR_RETURN(
        ActiveEntry entry,
        active_entry(set->second[i], fmt::format("{}.conditioning.{}[{}]", what, name, i), model,
                     sampling, place));
    active.push_back(std::move(entry));
  }
  return active;
}

/// For each of `entries` with an area, its twin among `others`: the text of the smallest of them
/// that holds that area, over that area; so each area has its opposite (reference:
/// comfy/samplers.py: create_cond_with_same_area_if_none).
void add_opposite_areas(const std::vector<ActiveEntry>& entries, std::vector<ActiveEntry>& others) {
  const auto cells = [](const ActiveEntry& entry) {
    return entry.region.area->height * entry.region.area->width;
  };
  for (const ActiveEntry& entry : entries) {
    if (!entry.region.area) continue;
    const ActiveEntry* smallest = nullptr;
    for (const ActiveEntry& other : others) {
      if (!other.region.area) {
        if (smallest == nullptr) smallest = &other;
      } else if (other.region.area->contains(*entry.region.area)) {
        if (smallest == nullptr || !smallest->region.area || cells(*smallest) > cells(other))
          smallest = &other;
      }
    }
    if (smallest == nullptr || smallest->region.area == entry.region.area) continue;
    ActiveEntry twin = entry;
    twin.context = smallest->context;
    twin.extras = smallest->extras;
    others.push_back(std::move(twin));
  }
}

Result<SamplePlan::Row> plan_row(const SampleRow& row, const std::string& what,
                                 const DenoisingModel& model, const ModelSampling& sampling,
                                 EntryPlace place) {
  LUNA_RETURN_IF_ERROR(check_row(row, what));
  SamplePlan::Row planned;
  LUNA_ASSIGN_OR_RETURN(planned.guider, Guider::make(row.guidance, what, sampling));
  LUNA_ASSIGN_OR_RETURN(planned.positive,
                        entries_of(row, "positive", what, model, sampling, place));
  place.negative = true;
  LUNA_ASSIGN_OR_RETURN(planned.negative,
                        entries_of(row, "negative", what, model, sampling, place));
  if (planned.positive.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "{}.conditioning: expected a positive entry, found none", what);
  }
  if (planned.negative.empty() && !planned.guider.never_needs_negative()) {
    return error(StatusCode::kInvalidArgument,
                 "{}.conditioning: cfg {} needs a negative entry, found none", what,
                 row.guidance.cfg);
  }
  add_opposite_areas(planned.positive, planned.negative);
  add_opposite_areas(planned.negative, planned.positive);
  planned.model = &model;
  return planned;
}

/// The noise of the start of every row; `anew` draws the other one (of the next seed) for
/// inpainting.
Result<at::Tensor> noise_of(const SampleRequest& request, at::IntArrayRef chw, bool anew) {
  const std::int64_t row_elements = chw[0] * chw[1] * chw[2];
  std::vector<NoiseRow> drawn;
  std::vector<std::size_t> drawn_rows;
  std::vector<at::Tensor> noise(request.rows.size());
  for (std::size_t i = 0; i < request.rows.size(); ++i) {
    const NoiseSpec& spec = request.rows[i].noise;
    const std::string what = fmt::format("rows[{}].noise", i);
    if (!anew && spec.tensor) {
      LUNA_ASSIGN_OR_RETURN(noise[i], finite_floats(*spec.tensor, what + ".tensor"));
      if (noise[i].sizes() != chw) {
        return error(StatusCode::kInvalidArgument,
                     "{}.tensor: expected the latent's shape [{},{},{}], found {}", what, chw[0],
                     chw[1], chw[2], spec.tensor->spec.to_string());
      }
      noise[i] = noise[i].unsqueeze(0);
    } else if (!anew && !spec.add_noise) {
      LUNA_ASSIGN_OR_RETURN(noise[i], torch_call(what, [&] {
                              return at::zeros({1, chw[0], chw[1], chw[2]}, at::kFloat);
                            }));
    } else {
      if (row_elements * spec.batch_size > kMaxNoiseElements) {
        return error(StatusCode::kInvalidArgument,
                     "{}: a draw of {} latents of {} values is too large", what, spec.batch_size,
                     row_elements);
      }
      drawn.push_back({spec.seed + (anew ? 1 : 0), spec.batch_size, spec.batch_index});
      drawn_rows.push_back(i);
    }
  }
  if (!drawn.empty()) {
    LUNA_ASSIGN_OR_RETURN(const at::Tensor draws,
                          torch_call("drawing noise", [&] { return initial_noise(drawn, chw); }));
    for (std::size_t i = 0; i < drawn_rows.size(); ++i) {
      noise[drawn_rows[i]] = draws.narrow(0, static_cast<std::int64_t>(i), 1);
    }
  }
  return torch_call("stacking noise", [&] { return at::cat(noise); });
}

/// Of each row, [1, C, h, w]; undefined without one.
Result<std::vector<at::Tensor>> masks_of(const SampleRequest& request, at::IntArrayRef chw) {
  std::vector<at::Tensor> masks(request.rows.size());
  const std::vector<std::int64_t> shape{1, chw[0], chw[1], chw[2]};
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const auto& mask = request.rows[i].noise_mask;
    if (!mask) continue;
    LUNA_ASSIGN_OR_RETURN(masks[i], mask_row(*mask, fmt::format("rows[{}].noise_mask", i), shape));
  }
  return masks;
}

/// One value a channel, beside latents [C, h, w] or [n, C, h, w].
at::Tensor by_channel(const std::vector<float>& values, const at::Tensor& latents) {
  return at::tensor(values, at::kFloat).reshape({-1, 1, 1}).to(latents.device());
}

/// Undefined when no row has a mask; a row without one is repainted as a whole.
Result<at::Tensor> stacked_masks(std::vector<at::Tensor> masks, const at::Tensor& like) {
  const auto has_mask = [](const at::Tensor& mask) { return mask.defined(); };
  if (std::ranges::none_of(masks, has_mask)) return at::Tensor();
  return torch_call("stacking masks", [&] {
    for (at::Tensor& mask : masks)
      if (!mask.defined()) mask = at::ones_like(like);
    return at::cat(masks);
  });
}

}  // namespace

at::Tensor latent_to_model(const at::Tensor& latent, const DenoiserTraits& traits) {
  if (at::count_nonzero(latent).item<std::int64_t>() == 0) return latent;
  return scaled_to_model(latent, traits);
}

at::Tensor scaled_to_model(const at::Tensor& latent, const DenoiserTraits& traits) {
  if (traits.latent_mean.empty()) return latent * traits.latent_scale;
  const at::Tensor mean = by_channel(traits.latent_mean, latent);
  return (latent - mean) * traits.latent_scale / by_channel(traits.latent_std, latent);
}

at::Tensor latent_from_model(const at::Tensor& latent, const DenoiserTraits& traits) {
  if (traits.latent_mean.empty()) return latent / traits.latent_scale;
  const at::Tensor mean = by_channel(traits.latent_mean, latent);
  return latent * by_channel(traits.latent_std, latent) / traits.latent_scale + mean;
}

Result<SamplePlan> plan_sample(const SampleRequest& request, const DenoisingModel& model) {
  const DenoiserTraits& traits = model.traits();
  if (request.rows.empty() || request.rows.size() > kMaxRows) {
    return error(StatusCode::kInvalidArgument, "rows: expected 1..{}, found {}", kMaxRows,
                 request.rows.size());
  }
  SamplePlan plan;
  LUNA_ASSIGN_OR_RETURN(plan.sampling, sampling_of(traits));
  LUNA_ASSIGN_OR_RETURN(plan.sampler, find_sampler(request.run.sampler));
  LUNA_RETURN_IF_ERROR(check_sampler_options(request.run.sampler, request.run.options));
  LUNA_ASSIGN_OR_RETURN(plan.sigmas, run_sigmas(request.run, *plan.sampling));

  std::vector<at::Tensor> latents;
  for (std::size_t i = 0; i < request.rows.size(); ++i) {
    const SampleRow& row = request.rows[i];
    const std::string what = fmt::format("rows[{}]", i);
    if (row.latent.spec.shape != request.rows.front().latent.spec.shape) {
      return error(StatusCode::kInvalidArgument, "{}.latent: expected rows[0]'s shape {}, found {}",
                   what, request.rows.front().latent.spec.to_string(), row.latent.spec.to_string());
    }
    LUNA_ASSIGN_OR_RETURN(const at::Tensor latent,
                          latent_row(row.latent, what + ".latent", traits.latent_channels));
    LUNA_ASSIGN_OR_RETURN(at::Tensor scaled,
                          torch_call(what, [&] { return latent_to_model(latent, traits); }));
    latents.push_back(scaled.unsqueeze(0));
    plan.step_noise.push_back({row.noise.seed, row.noise.batch_size, row.noise.batch_index});
  }
  const std::vector<std::int64_t> chw = latents.front().sizes().slice(1).vec();
  LUNA_ASSIGN_OR_RETURN(std::vector<at::Tensor> masks, masks_of(request, chw));
  for (std::size_t i = 0; i < request.rows.size(); ++i) {
    LUNA_ASSIGN_OR_RETURN(
        SamplePlan::Row planned,
        plan_row(request.rows[i], fmt::format("rows[{}]", i), model, *plan.sampling,
                 {chw[1], chw[2], false, latents[i], masks[i], request.rows[i].noise.batch_index}));
    plan.rows.push_back(std::move(planned));
  }
  LUNA_ASSIGN_OR_RETURN(plan.noise, noise_of(request, chw, false));
  LUNA_ASSIGN_OR_RETURN(plan.mask, stacked_masks(std::move(masks), latents.front()));
  if (plan.mask.defined()) {
    plan.inpaint_noise = plan.noise;
    if (draws_inpaint_noise_anew(request.run.sampler)) {
      LUNA_ASSIGN_OR_RETURN(plan.inpaint_noise, noise_of(request, chw, true));
    }
  }
  LUNA_RETURN_IF_ERROR(torch_call("moving latents to the device", [&] {
    plan.latent = at::cat(latents).to(model.device());
    plan.noise = plan.noise.to(model.device());
    if (!plan.mask.defined()) return;
    plan.inpaint_noise = plan.inpaint_noise.to(model.device());
    plan.mask = plan.mask.to(model.device());
  }));
  return plan;
}

}  // namespace luna::worker
