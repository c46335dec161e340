#include "tests/unit/daemon/worker/sampling/trajectory_driver.h"

#include "daemon/worker/sampling/guidance.h"

namespace luna::worker {

at::Tensor analytic_x0(const at::Tensor& x, double sigma, double shift) {
  const at::Tensor s = at::scalar_tensor(sigma);
  const at::Tensor scaled = x / at::sqrt(s * s + 1.0);
  return 0.9 * at::tanh(1.3 * scaled + 0.25 * at::roll(scaled, 1, -1) + shift);
}

void AnalyticPort::serve_one() {
  constexpr double kCfg = 2;
  Evaluation* evaluation = waiting_.front();
  waiting_.pop_front();
  ++served_;
  at::Tensor x = evaluation->x;
  if (mask.defined()) x = inpaint_input(x, mask, evaluation->sigma, noise, latent, *model);
  const at::Tensor cond = analytic_x0(x, evaluation->sigma, 0.3);
  const at::Tensor uncond = analytic_x0(x, evaluation->sigma, -0.2);
  evaluation->denoised = cfg_combine(cond, uncond, kCfg);
  if (mask.defined()) evaluation->denoised = inpaint_output(evaluation->denoised, mask, latent);
  if (evaluation->wants_uncond) evaluation->uncond_denoised = uncond;
  evaluation->waiter.resume();
}

at::Tensor run_to_end(const Run& run, const ModelSampling& model, AnalyticPort& port) {
  const at::IntArrayRef chw = run.latent.sizes().slice(1);
  const auto step_noise = make_step_noise(run.rows, chw, at::kCPU, run.sigmas);
  SamplerContext context{port, model, run.sigmas, *step_noise, run.options, run.on_step};
  const double first = run.sigmas.front();
  at::Tensor start = model.noise_scaling(first, initial_noise(run.rows, chw), run.latent,
                                         is_max_denoise(model, first));
  Trajectory trajectory = find_sampler(run.sampler).value()(context, std::move(start));
  trajectory.start();
  while (!trajectory.done()) port.serve_one();
  return model.inverse_noise_scaling(context.sigmas.back(), trajectory.result());
}

std::vector<NoiseRow> whole_batch(std::uint64_t seed, std::uint32_t size) {
  std::vector<NoiseRow> rows;
  for (std::uint32_t i = 0; i < size; ++i) rows.push_back({seed, size, i});
  return rows;
}

}  // namespace luna::worker
