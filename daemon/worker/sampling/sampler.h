#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "common/base/status.h"
#include "daemon/worker/sampling/evaluation.h"
#include "daemon/worker/sampling/model_sampling.h"
#include "daemon/worker/sampling/noise.h"

namespace luna::worker {

/// A sampler's trajectory: starts suspended, runs to the next evaluation each time it is resumed,
/// and yields the final state. Destroying it ends the trajectory wherever it is.
class Trajectory {
 public:
  struct promise_type {
    at::Tensor result;
    std::exception_ptr failure;
    Trajectory get_return_object() { return Trajectory(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(at::Tensor value) { result = std::move(value); }
    void unhandled_exception() { failure = std::current_exception(); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  Trajectory() = default;
  explicit Trajectory(Handle handle) : handle_(handle) {}
  Trajectory(Trajectory&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Trajectory& operator=(Trajectory&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Trajectory() {
    if (handle_) handle_.destroy();
  }

  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  /// After done(): the final state. Rethrows what the sampler threw (libtorch's errors; the engine
  /// catches).
  at::Tensor result() const {
    if (handle_.promise().failure) std::rethrow_exception(handle_.promise().failure);
    return handle_.promise().result;
  }

 private:
  Handle handle_;
};

/// Told after each finished step: index from 0, the state, the x0 it came from, the sigma of the
/// step.
using StepObserver =
    std::function<void(int step, const at::Tensor& x, const at::Tensor& denoised, double sigma)>;

/// Everything a sampler sees. Outlives the Trajectory.
struct SamplerContext {
  EvaluationPort& port;
  const ModelSampling& model;  ///< for samplers that ask for alpha, lambda, noise_scaling
  std::vector<float>
      sigmas;        ///< descending; f32 as ComfyUI holds them. uni_pc lowers a final 0 to 0.001
                     ///< here: after the run, sigmas.back() is what inverse_noise_scaling takes
  StepNoise& noise;  ///< noise drawn during the run
  std::map<std::string, double> options;
  StepObserver on_step;  ///< may be empty
};

using Sampler = Trajectory (*)(SamplerContext& context, at::Tensor x);

/// The sampler of that name (ComfyUI's), INVALID_ARGUMENT naming the nearest known ones otherwise.
Result<Sampler> find_sampler(const std::string& name);
std::vector<std::string> sampler_names();
/// INVALID_ARGUMENT for an option that this sampler does not take, or out of range.
Status check_sampler_options(const std::string& name, const std::map<std::string, double>& options);
/// True for ddim: its inpaint_input() noise is initial_noise() of seed + 1, not the run's initial
/// noise.
bool draws_inpaint_noise_anew(const std::string& name);

}  // namespace luna::worker
