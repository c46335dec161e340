#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include <ATen/ATen.h>

#include "daemon/worker/sampling/evaluation.h"
#include "daemon/worker/sampling/sampler.h"

namespace luna::worker {

/// What `co_await denoise(...)` waits on. It lives in the suspended coroutine's frame, so the port
/// may keep a pointer to its evaluation until it resumes or destroys the coroutine. Neither an
/// aggregate nor movable: GCC 12 destroys aggregate-initialised awaitables twice.
class Denoise {
 public:
  Denoise(EvaluationPort& port, at::Tensor x, float sigma)
      : Denoise(port, std::move(x), sigma, false) {}
  Denoise(Denoise&&) = delete;
  Denoise& operator=(Denoise&&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    evaluation_.waiter = waiter;
    port_.enqueue(&evaluation_);
  }
  at::Tensor await_resume() { return std::move(evaluation_.denoised); }

 protected:
  Denoise(EvaluationPort& port, at::Tensor x, float sigma, bool wants_uncond) : port_(port) {
    evaluation_.x = std::move(x);
    evaluation_.sigma = sigma;
    evaluation_.wants_uncond = wants_uncond;
  }

  EvaluationPort& port_;
  Evaluation evaluation_;
};

/// Guided x0 and the unguided negative's, for CFG++.
struct GuidedPair {
  GuidedPair(at::Tensor guided_x0, at::Tensor uncond_x0)
      : denoised(std::move(guided_x0)), uncond_denoised(std::move(uncond_x0)) {}
  at::Tensor denoised;
  at::Tensor uncond_denoised;
};

/// As Denoise; also asks for the negative's prediction, at cfg 1 too.
class DenoiseWithUncond : public Denoise {
 public:
  DenoiseWithUncond(EvaluationPort& port, at::Tensor x, float sigma)
      : Denoise(port, std::move(x), sigma, true) {}
  GuidedPair await_resume() {
    return GuidedPair(std::move(evaluation_.denoised), std::move(evaluation_.uncond_denoised));
  }
};

/// `co_await` gives the guided x0 of every row of `x` at `sigma`.
inline Denoise denoise(SamplerContext& context, at::Tensor x, float sigma) {
  return Denoise(context.port, std::move(x), sigma);
}
inline DenoiseWithUncond denoise_with_uncond(SamplerContext& context, at::Tensor x, float sigma) {
  return DenoiseWithUncond(context.port, std::move(x), sigma);
}

/// The run's value of an option, checked before by check_sampler_options, or the sampler's default.
inline double option(const SamplerContext& context, const char* name, double fallback) {
  const auto found = context.options.find(name);
  return found == context.options.end() ? fallback : found->second;
}

/// Tells the observer that step `index` (from 0) is finished: `x` is the state after it.
inline void finish_step(const SamplerContext& context, std::size_t index, const at::Tensor& x,
                        const at::Tensor& denoised) {
  if (context.on_step) context.on_step(static_cast<int>(index), x, denoised, context.sigmas[index]);
}

}  // namespace luna::worker
