#include "daemon/worker/sampling/model_sampling.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace luna::worker {
namespace {

constexpr double kBeyondEverySigma = 999999999.9;  // percent 0 of models without a largest noise

std::vector<float> to_vector(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

/// libtorch's exp, so that interpolated sigmas have the reference's last bit.
float exp_f32(float value) { return at::scalar_tensor(value).exp().item<float>(); }

/// One sigma a row, shaped to broadcast over [n, C, h, w].
at::Tensor over_rows(const at::Tensor& sigma, const at::Tensor& x) {
  if (sigma.numel() == 1) return sigma.reshape({});
  std::vector<int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[0] = sigma.size(0);
  return sigma.reshape(shape);
}

/// State = x0 + sigma noise.
class VarianceExploding : public ModelSampling {
 public:
  VarianceExploding(std::vector<float> table, double sigma_data)
      : sigmas_(std::move(table)), sigma_data_(sigma_data) {}

  const std::vector<float>& sigmas() const override { return sigmas_; }
  bool is_flow() const override { return false; }
  at::Tensor calculate_input(const at::Tensor& sigma, const at::Tensor& x) const override {
    const at::Tensor s = over_rows(sigma, x);
    return x / (s * s + sigma_data_ * sigma_data_).sqrt();
  }
  at::Tensor noise_scaling(double sigma, const at::Tensor& noise, const at::Tensor& latent,
                           bool max_denoise) const override {
    const auto s = static_cast<float>(sigma);
    return noise * (max_denoise ? std::sqrt(1.0F + s * s) : s) + latent;
  }
  at::Tensor inverse_noise_scaling(double, const at::Tensor& latent) const override {
    return latent;
  }

 protected:
  at::Tensor velocity_to_x0(const at::Tensor& sigma, const at::Tensor& output, const at::Tensor& x,
                            bool negated) const {
    const at::Tensor s = over_rows(sigma, x);
    const double data = sigma_data_;
    const at::Tensor total = s * s + data * data;
    const at::Tensor kept = x * (data * data) / total;
    const at::Tensor moved = output * s * data / total.sqrt();
    return negated ? kept - moved : kept + moved;
  }

  std::vector<float> sigmas_;
  double sigma_data_;
};

/// A table of N trained steps; between them log sigma is linear in the timestep.
class Discrete : public VarianceExploding {
 public:
  explicit Discrete(const at::Tensor& table)
      : VarianceExploding(to_vector(table), 1.0), log_sigmas_(to_vector(table.log())) {}

  double timestep(double sigma) const override {
    const float wanted = std::log(static_cast<float>(sigma));
    const auto nearer = [wanted](float a, float b) {
      return std::abs(wanted - a) < std::abs(wanted - b);
    };
    return static_cast<double>(std::min_element(log_sigmas_.begin(), log_sigmas_.end(), nearer) -
                               log_sigmas_.begin());
  }
  double sigma(double timestep) const override {
    const auto last = static_cast<float>(log_sigmas_.size() - 1);
    const float t = std::clamp(static_cast<float>(timestep), 0.0F, last);
    const float low = log_sigmas_[static_cast<std::size_t>(std::floor(t))];
    const float high = log_sigmas_[static_cast<std::size_t>(std::ceil(t))];
    const float weight = t - std::floor(t);
    return exp_f32((1 - weight) * low + weight * high);
  }
  double percent_to_sigma(double percent) const override {
    if (percent <= 0) return kBeyondEverySigma;
    if (percent >= 1) return 0;
    return sigma((1 - percent) * 999.0);
  }

 private:
  std::vector<float> log_sigmas_;
};

class Eps final : public Discrete {
 public:
  using Discrete::Discrete;
  at::Tensor calculate_denoised(const at::Tensor& sigma, const at::Tensor& output,
                                const at::Tensor& x) const override {
    return x - output * over_rows(sigma, x);
  }
};

class Velocity final : public Discrete {
 public:
  using Discrete::Discrete;
  at::Tensor calculate_denoised(const at::Tensor& sigma, const at::Tensor& output,
                                const at::Tensor& x) const override {
    return velocity_to_x0(sigma, output, x, true);
  }
};

/// Log sigma is linear in the timestep, without steps.
class Continuous : public VarianceExploding {
 public:
  using VarianceExploding::VarianceExploding;
  double timestep(double sigma) const override {
    return 0.25F * std::log(static_cast<float>(sigma));
  }
  double sigma(double timestep) const override {
    return exp_f32(static_cast<float>(timestep) / 0.25F);
  }
  double percent_to_sigma(double percent) const override {
    if (percent <= 0) return kBeyondEverySigma;
    if (percent >= 1) return 0;
    const double lowest = std::log(sigma_min());
    return std::exp((std::log(sigma_max()) - lowest) * (1 - percent) + lowest);
  }
};

class Edm final : public Continuous {
 public:
  using Continuous::Continuous;
  at::Tensor calculate_denoised(const at::Tensor& sigma, const at::Tensor& output,
                                const at::Tensor& x) const override {
    return velocity_to_x0(sigma, output, x, false);
  }
};

class EdmVelocity final : public Continuous {
 public:
  using Continuous::Continuous;
  at::Tensor calculate_denoised(const at::Tensor& sigma, const at::Tensor& output,
                                const at::Tensor& x) const override {
    return velocity_to_x0(sigma, output, x, true);
  }
};

/// State = (1 - sigma) x0 + sigma noise, sigma in 0..1; the network predicts noise - x0.
class RectifiedFlow : public ModelSampling {
 public:
  const std::vector<float>& sigmas() const override { return sigmas_; }
  bool is_flow() const override { return true; }
  at::Tensor calculate_input(const at::Tensor&, const at::Tensor& x) const override { return x; }
  at::Tensor calculate_denoised(const at::Tensor& sigma, const at::Tensor& output,
                                const at::Tensor& x) const override {
    return x - output * over_rows(sigma, x);
  }
  at::Tensor noise_scaling(double sigma, const at::Tensor& noise, const at::Tensor& latent,
                           bool) const override {
    const auto s = static_cast<float>(sigma);
    return s * noise + (1.0F - s) * latent;
  }
  at::Tensor inverse_noise_scaling(double sigma, const at::Tensor& latent) const override {
    return latent / (1.0F - static_cast<float>(sigma));
  }
  double percent_to_sigma(double percent) const override {
    if (percent <= 0) return 1;
    if (percent >= 1) return 0;
    return shifted(1 - percent);
  }

 protected:
  /// The schedule's shift of a time in 0..1.
  virtual double shifted(double time) const = 0;

  std::vector<float> sigmas_;
};

class Flow final : public RectifiedFlow {
 public:
  Flow(double shift, double multiplier) : shift_(shift), multiplier_(multiplier) {
    constexpr int kSteps = 1000;
    const at::Tensor times = at::arange(1, kSteps + 1) / kSteps * multiplier / multiplier;
    sigmas_ = to_vector(shift == 1 ? times : shift * times / (1 + (shift - 1) * times));
  }
  double timestep(double sigma) const override {
    return static_cast<float>(sigma) * static_cast<float>(multiplier_);
  }
  double sigma(double timestep) const override {
    const float time = static_cast<float>(timestep) / static_cast<float>(multiplier_);
    if (shift_ == 1) return time;
    return static_cast<float>(shift_) * time / (1 + static_cast<float>(shift_ - 1) * time);
  }

 private:
  double shifted(double time) const override {
    return shift_ == 1 ? time : shift_ * time / (1 + (shift_ - 1) * time);
  }

  double shift_;
  double multiplier_;
};

class Flux final : public RectifiedFlow {
 public:
  explicit Flux(double mu) : exp_mu_(std::exp(mu)) {
    constexpr int kSteps = 10000;
    const at::Tensor times = at::arange(1, kSteps + 1) / kSteps;
    sigmas_ = to_vector((exp_mu_ + (times.reciprocal() - 1)).reciprocal() * exp_mu_);
  }
  double timestep(double sigma) const override { return static_cast<float>(sigma); }
  double sigma(double timestep) const override {
    const auto scale = static_cast<float>(exp_mu_);
    return 1 / (scale + (1 / static_cast<float>(timestep) - 1)) * scale;
  }

 private:
  double shifted(double time) const override { return exp_mu_ / (exp_mu_ + (1 / time - 1)); }

  double exp_mu_;
};

/// sqrt((1 - alpha_bar) / alpha_bar) of the scaled-linear betas, f64.
at::Tensor scaled_linear_table() {
  constexpr int kSteps = 1000;
  const at::Tensor betas =
      at::linspace(std::sqrt(0.00085), std::sqrt(0.012), kSteps, at::TensorOptions(at::kDouble))
          .pow(2);
  const at::Tensor alpha_bar = at::cumprod(1 - betas, 0);
  return ((1 - alpha_bar) / alpha_bar).sqrt();
}

/// Shifts and scales sqrt(alpha_bar) so that the last step keeps (almost) no signal.
at::Tensor rescaled_to_zero_snr(const at::Tensor& sigmas) {
  constexpr double kLastAlphaBar = 4.8973451890853435e-08;
  const at::Tensor root = (sigmas * sigmas + 1).reciprocal().sqrt();
  const at::Tensor first = root[0].clone();
  const at::Tensor last = root[-1].clone();
  const at::Tensor alpha_bar = ((root - last) * (first / (first - last))).pow(2);
  alpha_bar[-1] = kLastAlphaBar;
  return ((1 - alpha_bar) / alpha_bar).sqrt();
}

std::vector<float> log_linear_table(double sigma_min, double sigma_max) {
  constexpr int kSteps = 1000;
  return to_vector(at::linspace(std::log(sigma_min), std::log(sigma_max), kSteps).exp());
}

}  // namespace

std::unique_ptr<ModelSampling> make_eps_sampling() {
  return std::make_unique<Eps>(scaled_linear_table());
}

std::unique_ptr<ModelSampling> make_v_sampling(bool zero_terminal_snr) {
  const at::Tensor table = scaled_linear_table();
  return std::make_unique<Velocity>(zero_terminal_snr ? rescaled_to_zero_snr(table) : table);
}

std::unique_ptr<ModelSampling> make_edm_sampling(double sigma_min, double sigma_max,
                                                 double sigma_data) {
  return std::make_unique<Edm>(log_linear_table(sigma_min, sigma_max), sigma_data);
}

std::unique_ptr<ModelSampling> make_edm_v_sampling(double sigma_min, double sigma_max,
                                                   double sigma_data) {
  return std::make_unique<EdmVelocity>(log_linear_table(sigma_min, sigma_max), sigma_data);
}

std::unique_ptr<ModelSampling> make_flow_sampling(double shift, double multiplier) {
  return std::make_unique<Flow>(shift, multiplier);
}

std::unique_ptr<ModelSampling> make_flux_sampling(double mu) { return std::make_unique<Flux>(mu); }

bool is_max_denoise(const ModelSampling& model, double first_sigma) {
  const double largest = model.sigma_max();
  const double tolerance = 1e-5 * std::max(std::abs(largest), std::abs(first_sigma));
  return first_sigma > largest || std::abs(first_sigma - largest) <= tolerance;
}

}  // namespace luna::worker
