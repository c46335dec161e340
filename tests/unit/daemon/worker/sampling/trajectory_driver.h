#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "daemon/worker/sampling/evaluation.h"
#include "daemon/worker/sampling/model_sampling.h"
#include "daemon/worker/sampling/noise.h"
#include "daemon/worker/sampling/sampler.h"

namespace luna::worker {

/// The analytic denoiser of sampling_make_fixtures.py; `shift` stands for the prompt.
at::Tensor analytic_x0(const at::Tensor& x, double sigma, double shift);

/// Answers evaluations by analytic_x0 under cfg 2, one at a time, on demand.
class AnalyticPort : public EvaluationPort {
 public:
  void enqueue(Evaluation* evaluation) override { waiting_.push_back(evaluation); }

  /// Answers the oldest evaluation and resumes its sampler.
  void serve_one();
  bool idle() const { return waiting_.empty(); }
  /// For a test that destroys the trajectory of the oldest evaluation: the port must forget it.
  void drop_oldest() { waiting_.pop_front(); }
  int served() const { return served_; }

  /// When set, evaluations are inpainting ones.
  at::Tensor mask;
  at::Tensor latent;
  at::Tensor noise;
  const ModelSampling* model = nullptr;

 private:
  std::deque<Evaluation*> waiting_;
  int served_ = 0;
};

/// Everything of one run that ComfyUI's KSampler node does around the sampler, without mask.
struct Run {
  std::string sampler;
  std::vector<float> sigmas;
  std::vector<NoiseRow> rows;
  at::Tensor latent;  ///< [rows, C, h, w]
  std::map<std::string, double> options;
  StepObserver on_step;
};
at::Tensor run_to_end(const Run& run, const ModelSampling& model, AnalyticPort& port);

/// Rows 0..n-1 of one latent batch.
std::vector<NoiseRow> whole_batch(std::uint64_t seed, std::uint32_t size);

}  // namespace luna::worker
