#pragma once

#include <coroutine>

#include <ATen/ATen.h>

namespace luna::worker {

/// One evaluation that a sampler waits for: the guided x0 of every row of its job at one sigma.
struct Evaluation {
  at::Tensor x;  ///< [rows, C, h, w] f32, the sampler's state
  double sigma = 0;
  bool wants_uncond = false;   ///< CFG++ samplers: also the unguided negative, even at cfg 1
  at::Tensor denoised;         ///< result: guided x0, as x
  at::Tensor uncond_denoised;  ///< result when wants_uncond
  std::coroutine_handle<> waiter;
};

/// What takes evaluations: the engine's row batcher, or a function in a test.
/// Completes each by filling in `denoised` and resuming `waiter`, or drops it by destroying the
/// sampler's coroutine (cancel, failed forward): a sampler never sees an error.
class EvaluationPort {
 public:
  virtual ~EvaluationPort() = default;
  /// `evaluation` lives in the suspended coroutine's frame until it is resumed. Must not resume
  /// from inside.
  virtual void enqueue(Evaluation* evaluation) = 0;
};

}  // namespace luna::worker
