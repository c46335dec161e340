#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/ranges.h>

#include "common/base/nearest_name.h"
#include "daemon/worker/sampling/samplers.h"

namespace luna::worker {
namespace {

struct Option {
  std::string_view name;
  double min;
  double max;
  bool whole = false;
};

struct Entry {
  std::string_view name;
  Sampler sampler;
  std::vector<Option> options;
};

constexpr double kMost = 100;  // the range of ComfyUI's nodes for eta, s_noise and r
constexpr Option kEta{"eta", 0, kMost};
constexpr Option kSNoise{"s_noise", 0, kMost};
constexpr Option kSNoiseEnd{"s_noise_end", 0, kMost};
constexpr Option kR{"r", 1e-3, kMost};
// dpmpp_2m_sde: 0 midpoint, 1 heun; seeds_2 and exp_heun: 0 phi_1, 1 phi_2.
constexpr Option kSolverType{"solver_type", 0, 1, true};
constexpr Option kProcess{"solver_type", 0, 2, true};  // 0 ER-SDE, 1 reverse-time SDE, 2 ODE
constexpr Option kStage{"r", 0.01, 1};
constexpr Option kStage1{"r_1", 0.01, 1};
constexpr Option kStage2{"r_2", 0.01, 1};
constexpr Option kMaxStage{"max_stage", 1, 3, true};
constexpr Option kOrder1To4{"order", 1, 4, true};
constexpr Option kOrder2Or3{"order", 2, 3, true};
constexpr Option kMaxOrder4{"max_order", 2, 4, true};
constexpr Option kRtol{"rtol", 0, kMost};
constexpr Option kAtol{"atol", 0, kMost};
constexpr Option kHInit{"h_init", 1e-4, kMost};
constexpr Option kPCoeff{"pcoeff", 0, kMost};
constexpr Option kICoeff{"icoeff", 0, kMost};
constexpr Option kDCoeff{"dcoeff", 0, kMost};
constexpr Option kAcceptSafety{"accept_safety", 0, kMost};
constexpr Option kGeGamma{"ge_gamma", 0, kMost};
constexpr Option kSdeStart{"sde_start_percent", 0, 1};
constexpr Option kSdeEnd{"sde_end_percent", 0, 1};
constexpr Option kPredictor{"predictor_order", 1, 6, true};
constexpr Option kCorrector{"corrector_order", 0, 6, true};
constexpr Option kSimple{"simple_order_2", 0, 1, true};
constexpr Option kSChurn{"s_churn", 0, 1e6};
constexpr Option kSTmin{"s_tmin", 0, 1e9};
constexpr Option kSTmax{"s_tmax", 0, 1e9};

/// Every sampler that is served. ddim is Euler's method with another noise for inpainting.
const std::vector<Entry>& table() {
  static const std::vector<Entry> entries = {
      {"euler", sample_euler, {kSChurn, kSTmin, kSTmax, kSNoise}},
      {"euler_cfg_pp", sample_euler_cfg_pp, {}},
      {"euler_ancestral", sample_euler_ancestral, {kEta, kSNoise}},
      {"euler_ancestral_cfg_pp", sample_euler_ancestral_cfg_pp, {kEta, kSNoise}},
      {"heun", sample_heun, {kSChurn, kSTmin, kSTmax, kSNoise}},
      {"heunpp2", sample_heunpp2, {kSChurn, kSTmin, kSTmax, kSNoise}},
      {"exp_heun_2_x0", sample_exp_heun_2_x0, {kSolverType}},
      {"exp_heun_2_x0_sde", sample_exp_heun_2_x0_sde, {kEta, kSNoise, kSolverType}},
      {"dpm_2", sample_dpm_2, {kSChurn, kSTmin, kSTmax, kSNoise}},
      {"dpm_2_ancestral", sample_dpm_2_ancestral, {kEta, kSNoise}},
      {"lms", sample_lms, {kOrder1To4}},
      {"dpm_fast", sample_dpm_fast, {}},
      {"dpm_adaptive",
       sample_dpm_adaptive,
       {kOrder2Or3, kRtol, kAtol, kHInit, kPCoeff, kICoeff, kDCoeff, kAcceptSafety, kEta, kSNoise}},
      {"dpmpp_2s_ancestral", sample_dpmpp_2s_ancestral, {kEta, kSNoise}},
      {"dpmpp_2s_ancestral_cfg_pp", sample_dpmpp_2s_ancestral_cfg_pp, {kEta, kSNoise}},
      {"dpmpp_sde", sample_dpmpp_sde, {kEta, kSNoise, kR}},
      {"dpmpp_sde_gpu", sample_dpmpp_sde_gpu, {kEta, kSNoise, kR}},
      {"dpmpp_2m", sample_dpmpp_2m, {}},
      {"dpmpp_2m_cfg_pp", sample_dpmpp_2m_cfg_pp, {}},
      {"dpmpp_2m_sde", sample_dpmpp_2m_sde, {kEta, kSNoise, kSolverType}},
      {"dpmpp_2m_sde_gpu", sample_dpmpp_2m_sde_gpu, {kEta, kSNoise, kSolverType}},
      {"dpmpp_2m_sde_heun", sample_dpmpp_2m_sde_heun, {kEta, kSNoise, kSolverType}},
      {"dpmpp_2m_sde_heun_gpu", sample_dpmpp_2m_sde_heun_gpu, {kEta, kSNoise, kSolverType}},
      {"dpmpp_3m_sde", sample_dpmpp_3m_sde, {kEta, kSNoise}},
      {"dpmpp_3m_sde_gpu", sample_dpmpp_3m_sde_gpu, {kEta, kSNoise}},
      {"ddpm", sample_ddpm, {}},
      {"lcm", sample_lcm, {kSNoise, kSNoiseEnd}},
      {"ipndm", sample_ipndm, {kMaxOrder4}},
      {"ipndm_v", sample_ipndm_v, {kMaxOrder4}},
      {"deis", sample_deis, {kMaxOrder4}},
      {"res_multistep", sample_res_multistep, {kSNoise}},
      {"res_multistep_cfg_pp", sample_res_multistep_cfg_pp, {kSNoise}},
      {"res_multistep_ancestral", sample_res_multistep_ancestral, {kEta, kSNoise}},
      {"res_multistep_ancestral_cfg_pp", sample_res_multistep_ancestral_cfg_pp, {kEta, kSNoise}},
      {"gradient_estimation", sample_gradient_estimation, {kGeGamma}},
      {"gradient_estimation_cfg_pp", sample_gradient_estimation_cfg_pp, {kGeGamma}},
      {"er_sde", sample_er_sde, {kSNoise, kMaxStage, kProcess, kEta}},
      {"seeds_2", sample_seeds_2, {kEta, kSNoise, kStage, kSolverType}},
      {"seeds_3", sample_seeds_3, {kEta, kSNoise, kStage1, kStage2}},
      {"sa_solver",
       sample_sa_solver,
       {kEta, kSdeStart, kSdeEnd, kSNoise, kPredictor, kCorrector, kSimple}},
      {"sa_solver_pece",
       sample_sa_solver_pece,
       {kEta, kSdeStart, kSdeEnd, kSNoise, kPredictor, kCorrector, kSimple}},
      {"ddim", sample_euler, {}},
      {"uni_pc", sample_uni_pc, {}},
      {"uni_pc_bh2", sample_uni_pc_bh2, {}},
  };
  return entries;
}

const Entry* find_entry(const std::string& name) {
  const auto& entries = table();
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

Status unknown_sampler(const std::string& name) {
  return error(StatusCode::kInvalidArgument, "unknown sampler '{}'{}", name.substr(0, 64),
               did_you_mean(name, sampler_names()));
}

}  // namespace

Result<Sampler> find_sampler(const std::string& name) {
  const Entry* entry = find_entry(name);
  if (entry == nullptr) return unknown_sampler(name);
  return entry->sampler;
}

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const Entry& entry : table()) names.emplace_back(entry.name);
  return names;
}

Status check_sampler_options(const std::string& name,
                             const std::map<std::string, double>& options) {
  const Entry* entry = find_entry(name);
  if (entry == nullptr) return unknown_sampler(name);
  for (const auto& [key, value] : options) {
    const auto known = std::find_if(entry->options.begin(), entry->options.end(),
                                    [&key = key](const Option& o) { return o.name == key; });
    if (known == entry->options.end()) {
      std::vector<std::string> names;
      for (const Option& o : entry->options) names.emplace_back(o.name);
      return error(
          StatusCode::kInvalidArgument, "sampler '{}' has no option '{}'; {}", name,
          key.substr(0, 64),
          names.empty() ? "it takes none" : fmt::format("it takes {}", fmt::join(names, ", ")));
    }
    if (!(value >= known->min && value <= known->max) ||
        (known->whole && value != std::floor(value))) {
      return error(StatusCode::kInvalidArgument,
                   "option '{}' of sampler '{}' is {}, expected {} {} to {}", key, name, value,
                   known->whole ? "a whole number from" : "a number from", known->min, known->max);
    }
  }
  return {};
}

bool draws_inpaint_noise_anew(const std::string& name) { return name == "ddim"; }

}  // namespace luna::worker
