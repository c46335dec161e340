#include "daemon/worker/engine/guider.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>

#include "daemon/worker/sampling/guidance.h"

namespace luna::worker {
namespace {

struct Option {
  std::string_view name;
  double otherwise;
  double min;
  double max;
  bool whole = false;
};
constexpr double kMostCfg = 1e4;
constexpr std::array kOptions = {
    Option{"start_percent", 0, 0, 1},
    Option{"end_percent", 1, 0, 1},
    Option{"outside_cfg", 1, -kMostCfg, kMostCfg},
    Option{"curve", 0, 0, 2, true},
    Option{"curve_low", 1, -kMostCfg, kMostCfg},
    Option{"rescale", 0, 0, 1},
    Option{"threshold_percentile", 100, 50, 100},
};

std::string known_names() {
  std::string names;
  for (const Option& option : kOptions) names.append(names.empty() ? "" : ", ").append(option.name);
  return names;
}

}  // namespace

Result<Guider> Guider::make(const Guidance& guidance, std::string_view what,
                            const ModelSampling& sampling) {
  if (!std::isfinite(guidance.cfg)) {
    return error(StatusCode::kInvalidArgument,
                 "{}.guidance.cfg: expected a finite number, found {}", what, guidance.cfg);
  }
  for (const auto& [name, value] : guidance.options) {
    const auto known = std::ranges::find(kOptions, name, &Option::name);
    if (known == kOptions.end()) {
      return error(StatusCode::kInvalidArgument, "{}.guidance.options: expected {}, found '{}'",
                   what, known_names(), name.substr(0, 64));
    }
    if (!(value >= known->min && value <= known->max) ||
        (known->whole && value != std::floor(value))) {
      return error(StatusCode::kInvalidArgument,
                   "{}.guidance.options.{}: expected {} {} to {}, found {}", what, name,
                   known->whole ? "a whole number from" : "a number from", known->min, known->max,
                   value);
    }
  }
  const auto value = [&](std::string_view name) {
    const auto said = guidance.options.find(std::string(name));
    return said != guidance.options.end()
               ? said->second
               : std::ranges::find(kOptions, name, &Option::name)->otherwise;
  };
  Guider guider;
  guider.sampling_ = &sampling;
  guider.cfg_ = guidance.cfg;
  guider.outside_cfg_ = value("outside_cfg");
  guider.sigma_from_ = sampling.percent_to_sigma(value("start_percent"));
  guider.sigma_to_ = sampling.percent_to_sigma(value("end_percent"));
  guider.curve_ = static_cast<Curve>(static_cast<int>(value("curve")));
  guider.curve_low_ = value("curve_low");
  guider.rescale_ = value("rescale");
  guider.threshold_percentile_ = value("threshold_percentile");
  return guider;
}

/// 0 at the model's smallest sigma, 1 at its largest, even in its own time.
double Guider::share_of_time(double sigma) const {
  const double first = sampling_->timestep(sampling_->sigma_min());
  const double last = sampling_->timestep(sampling_->sigma_max());
  const double own = sampling_->timestep(std::max(sigma, sampling_->sigma_min()));
  return std::clamp((own - first) / (last - first), 0.0, 1.0);
}

double Guider::cfg(double sigma) const {
  if (!(sigma_to_ <= sigma && sigma <= sigma_from_)) return outside_cfg_;
  if (curve_ == Curve::kConstant) return cfg_;
  const double time = share_of_time(sigma);
  const double height = curve_ == Curve::kTriangle
                            ? 1 - std::abs(2 * time - 1)
                            : (1 - std::cos(2 * std::numbers::pi * time)) / 2;
  return curve_low_ + (cfg_ - curve_low_) * height;
}

bool Guider::ignores_negative(double sigma) const { return cfg_ignores_uncond(cfg(sigma)); }

bool Guider::never_needs_negative() const {
  const bool whole_run = sigma_to_ <= 0 && sigma_from_ >= sampling_->sigma_max();
  return cfg_ignores_uncond(cfg_) && (whole_run || cfg_ignores_uncond(outside_cfg_)) &&
         (curve_ == Curve::kConstant || cfg_ignores_uncond(curve_low_));
}

at::Tensor Guider::combine(const at::Tensor& positive, const at::Tensor& negative,
                           const at::Tensor& x, double sigma) const {
  at::Tensor guided = positive;
  if (!ignores_negative(sigma)) {
    guided = rescale_ > 0 ? cfg_rescaled(positive, negative, x, sigma, cfg(sigma), rescale_)
                          : cfg_combine(positive, negative, cfg(sigma));
  }
  if (threshold_percentile_ < 100) guided = clamp_to_percentile(guided, threshold_percentile_);
  return guided;
}

}  // namespace luna::worker
