#include "daemon/worker/sampling/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <boost/math/special_functions/beta.hpp>

#include "common/base/nearest_name.h"

namespace luna::worker {
namespace {

constexpr int kMaxSteps = 10000;
constexpr double kMaxScheduleSteps =
    1e6;  // kMaxSteps at the smallest denoise that ComfyUI's node takes
constexpr double kNearZero = 1e-5;

using Sigmas = std::vector<float>;

void append(Sigmas& sigmas, const at::Tensor& values) {
  const at::Tensor flat = values.contiguous();
  const float* data = flat.const_data_ptr<float>();
  sigmas.insert(sigmas.end(), data, data + flat.numel());
}

Sigmas simple(const ModelSampling& model, int steps) {
  const auto& table = model.sigmas();
  const double stride = static_cast<double>(table.size()) / steps;
  Sigmas sigmas;
  for (int i = 0; i < steps; ++i) {
    sigmas.push_back(table[table.size() - 1 - static_cast<std::size_t>(i * stride)]);
  }
  sigmas.push_back(0);
  return sigmas;
}

/// Walks the table upwards from its second entry; may give another number of steps than asked for.
Sigmas ddim_uniform(const ModelSampling& model, int steps) {
  const auto& table = model.sigmas();
  Sigmas sigmas;
  if (std::abs(table[1]) <= kNearZero) {
    ++steps;
  } else {
    sigmas.push_back(0);
  }
  const std::size_t stride =
      std::max<std::size_t>(table.size() / static_cast<std::size_t>(steps), 1);
  for (std::size_t i = 1; i < table.size(); i += stride) sigmas.push_back(table[i]);
  std::reverse(sigmas.begin(), sigmas.end());
  return sigmas;
}

Sigmas at_timesteps(const ModelSampling& model, const at::Tensor& timesteps) {
  Sigmas sigmas;
  const float* t = timesteps.const_data_ptr<float>();
  for (int64_t i = 0; i < timesteps.numel(); ++i)
    sigmas.push_back(static_cast<float>(model.sigma(t[i])));
  return sigmas;
}

Sigmas normal(const ModelSampling& model, int steps) {
  const double start = model.timestep(model.sigma_max());
  const double end = model.timestep(model.sigma_min());
  const bool ends_at_zero = std::abs(model.sigma(end)) <= kNearZero;
  Sigmas sigmas = at_timesteps(model, at::linspace(start, end, ends_at_zero ? steps + 1 : steps));
  if (!ends_at_zero) sigmas.push_back(0);
  return sigmas;
}

Sigmas sgm_uniform(const ModelSampling& model, int steps) {
  const double start = model.timestep(model.sigma_max());
  const double end = model.timestep(model.sigma_min());
  Sigmas sigmas =
      at_timesteps(model, at::linspace(start, end, steps + 1).narrow(0, 0, steps).contiguous());
  sigmas.push_back(0);
  return sigmas;
}

/// Karras et al. 2022 (arXiv 2206.00364), equation 5.
Sigmas karras(const ModelSampling& model, int steps) {
  constexpr double kRho = 7;
  const double lowest = std::pow(model.sigma_min(), 1 / kRho);
  const double highest = std::pow(model.sigma_max(), 1 / kRho);
  Sigmas sigmas;
  append(sigmas, (highest + at::linspace(0, 1, steps) * (lowest - highest)).pow(kRho));
  sigmas.push_back(0);
  return sigmas;
}

Sigmas exponential(const ModelSampling& model, int steps) {
  Sigmas sigmas;
  append(sigmas,
         at::linspace(std::log(model.sigma_max()), std::log(model.sigma_min()), steps).exp());
  sigmas.push_back(0);
  return sigmas;
}

/// Table entries at quantiles of Beta(0.6, 0.6) (arXiv 2407.12173); consecutive equal ones appear
/// once.
Sigmas beta(const ModelSampling& model, int steps) {
  constexpr double kShape = 0.6;
  const auto& table = model.sigmas();
  const double stride = 1.0 / steps;
  Sigmas sigmas;
  double last = -1;
  for (int i = 0; i < steps; ++i) {
    const double quantile = boost::math::ibeta_inv(kShape, kShape, 1 - i * stride);
    const double index = std::nearbyint(quantile * static_cast<double>(table.size() - 1));
    if (index != last) sigmas.push_back(table[static_cast<std::size_t>(index)]);
    last = index;
  }
  sigmas.push_back(0);
  return sigmas;
}

/// Mochi's schedule: the first half rises linearly to 0.025 of the way, the rest quadratically.
Sigmas linear_quadratic(const ModelSampling& model, int steps) {
  constexpr double kThreshold = 0.025;
  const auto largest = static_cast<float>(model.sigma_max());
  if (steps == 1) return {largest, 0};
  const int linear_steps = steps / 2;
  const int quadratic_steps = steps - linear_steps;
  const double difference = linear_steps - kThreshold * steps;
  const double squared = static_cast<double>(quadratic_steps) * quadratic_steps;
  const double quadratic = difference / (linear_steps * squared);
  const double linear = kThreshold / linear_steps - 2 * difference / squared;
  const double constant = quadratic * (static_cast<double>(linear_steps) * linear_steps);
  Sigmas sigmas;
  for (int i = 0; i <= steps; ++i) {
    double done = 1;
    if (i < linear_steps) {
      done = i * kThreshold / linear_steps;
    } else if (i < steps) {
      done = quadratic * (static_cast<double>(i) * i) + linear * i + constant;
    }
    sigmas.push_back(static_cast<float>(1 - done) * largest);
  }
  return sigmas;
}

/// Align Your Steps' KL-optimal spacing (arXiv 2404.14507): linear in atan(sigma). 0/0 at one step.
Sigmas kl_optimal(const ModelSampling& model, int steps) {
  const at::Tensor done = at::arange(steps, at::TensorOptions(at::kFloat)) / (steps - 1);
  Sigmas sigmas;
  append(sigmas,
         (done * std::atan(model.sigma_min()) + (1 - done) * std::atan(model.sigma_max())).tan());
  sigmas.push_back(0);
  return sigmas;
}

struct Scheduler {
  std::string_view name;
  Sigmas (*sigmas)(const ModelSampling&, int steps);
  int min_steps;
};

constexpr std::array kSchedulers = {
    Scheduler{"simple", simple, 1},
    Scheduler{"sgm_uniform", sgm_uniform, 1},
    Scheduler{"karras", karras, 1},
    Scheduler{"exponential", exponential, 1},
    Scheduler{"ddim_uniform", ddim_uniform, 1},
    Scheduler{"beta", beta, 1},
    Scheduler{"normal", normal, 1},
    Scheduler{"linear_quadratic", linear_quadratic, 1},
    Scheduler{"kl_optimal", kl_optimal, 2},
};

/// These need one sigma more and leave out the one before the last.
bool drops_second_last_sigma(std::string_view sampler) {
  constexpr std::array<std::string_view, 4> kNames = {"dpm_2", "dpm_2_ancestral", "uni_pc",
                                                      "uni_pc_bh2"};
  return std::find(kNames.begin(), kNames.end(), sampler) != kNames.end();
}

Result<Sigmas> scheduled(const SamplerRun& run, const ModelSampling& model, int steps) {
  const auto scheduler = std::find_if(kSchedulers.begin(), kSchedulers.end(),
                                      [&](const Scheduler& s) { return s.name == run.scheduler; });
  if (scheduler == kSchedulers.end()) {
    return error(StatusCode::kInvalidArgument, "unknown scheduler '{}'{}",
                 run.scheduler.substr(0, 64), did_you_mean(run.scheduler, scheduler_names()));
  }
  const bool drops = drops_second_last_sigma(run.sampler);
  if (drops) ++steps;
  if (steps < scheduler->min_steps) {
    return error(StatusCode::kInvalidArgument,
                 "scheduler '{}' is 0/0 at {} step, it needs {} or more", run.scheduler, steps,
                 scheduler->min_steps);
  }
  Sigmas sigmas = scheduler->sigmas(model, steps);
  if (drops && sigmas.size() >= 2) sigmas.erase(sigmas.end() - 2);
  return sigmas;
}

Result<Sigmas> checked_explicit(const Sigmas& sigmas) {
  if (sigmas.size() > kMaxSteps + 1) {
    return error(StatusCode::kInvalidArgument, "expected at most {} sigmas, found {}",
                 kMaxSteps + 1, sigmas.size());
  }
  for (std::size_t i = 0; i < sigmas.size(); ++i) {
    if (!std::isfinite(sigmas[i]) || sigmas[i] < 0) {
      return error(StatusCode::kInvalidArgument,
                   "sigma {} is {}, expected a finite number from 0 up", i, sigmas[i]);
    }
    if (i > 0 && sigmas[i] > sigmas[i - 1]) {
      return error(StatusCode::kInvalidArgument,
                   "sigmas must descend, found {} after {} at place {}", sigmas[i], sigmas[i - 1],
                   i);
    }
  }
  return sigmas;
}

/// The last steps + 1 sigmas of a schedule of steps / denoise; empty when there is nothing to do.
Result<Sigmas> whole_run(const SamplerRun& run, const ModelSampling& model) {
  constexpr double kFullFrom = 0.9999;
  if (!run.sigmas.empty()) return checked_explicit(run.sigmas);
  if (run.steps < 1 || run.steps > kMaxSteps) {
    return error(StatusCode::kInvalidArgument, "steps is {}, expected 1 to {}", run.steps,
                 kMaxSteps);
  }
  if (!(run.denoise >= 0 && run.denoise <= 1)) {
    return error(StatusCode::kInvalidArgument, "denoise is {}, expected 0 to 1", run.denoise);
  }
  if (run.denoise > kFullFrom) return scheduled(run, model, run.steps);
  const double all_steps = run.steps / run.denoise;
  if (run.denoise > 0 && all_steps > kMaxScheduleSteps) {
    return error(
        StatusCode::kInvalidArgument,
        "{} steps at denoise {} need a schedule of {:.0f} steps, at most {:.0f} are served",
        run.steps, run.denoise, all_steps, kMaxScheduleSteps);
  }
  LUNA_ASSIGN_OR_RETURN(
      Sigmas sigmas,
      scheduled(run, model, run.denoise > 0 ? static_cast<int>(all_steps) : run.steps));
  if (run.denoise == 0) return Sigmas{};
  const auto kept = static_cast<std::size_t>(run.steps) + 1;
  if (sigmas.size() > kept)
    sigmas.erase(sigmas.begin(), sigmas.end() - static_cast<std::ptrdiff_t>(kept));
  return sigmas;
}

}  // namespace

std::vector<std::string> scheduler_names() {
  std::vector<std::string> names;
  for (const Scheduler& scheduler : kSchedulers) names.emplace_back(scheduler.name);
  return names;
}

Result<std::vector<float>> run_sigmas(const SamplerRun& run, const ModelSampling& model) {
  const int start = run.start_step.value_or(0);
  if (start < 0 || run.end_step.value_or(0) < 0) {
    return error(StatusCode::kInvalidArgument,
                 "start_step is {} and end_step {}, expected 0 or more", start,
                 run.end_step.value_or(0));
  }
  LUNA_ASSIGN_OR_RETURN(Sigmas sigmas, whole_run(run, model));
  if (run.end_step && static_cast<std::size_t>(*run.end_step) + 1 < sigmas.size()) {
    sigmas.resize(static_cast<std::size_t>(*run.end_step) + 1);
    if (run.force_full_denoise) sigmas.back() = 0;
  }
  if (run.start_step) {
    if (static_cast<std::size_t>(start) + 1 >= sigmas.size()) return Sigmas{};
    sigmas.erase(sigmas.begin(), sigmas.begin() + start);
  }
  return sigmas;
}

}  // namespace luna::worker
