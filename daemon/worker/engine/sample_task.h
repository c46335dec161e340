#pragma once

#include <coroutine>
#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/engine/finite_watch.h"
#include "daemon/worker/engine/guided_rows.h"
#include "daemon/worker/engine/row_models.h"
#include "daemon/worker/engine/sample_plan.h"
#include "daemon/worker/engine/task.h"
#include "daemon/worker/models/taesd.h"

namespace luna::worker {

/// Runs the trajectories of a SampleRequest: the sampler's coroutine asks for one evaluation after
/// the other, its rows go through the batcher, and the coroutine is resumed as soon as their
/// forwards were enqueued. Previews are decoded by `preview_decoder` where there is one.
class SampleTask final : public Task, private RowSink, private EvaluationPort {
 public:
  SampleTask(TaskServices& services, TaskTicket ticket, SampleRequest request, RowModels models,
             std::shared_ptr<const TaesdDecoder> preview_decoder);
  ~SampleTask() override;

  Status start() override;
  void advance() override;

 private:
  Urgency urgency() const override { return ticket_.urgency(services_.fair_share); }
  const std::string& workflow() const override { return ticket_.workflow; }
  void row_done(std::size_t index, RowResult result) override;
  void row_failed(std::size_t index, const Status& status) override;
  void enqueue(Evaluation* evaluation) override { evaluation_ = evaluation; }

  void begin_evaluation();
  void end_evaluation();
  Status check_finite(bool all);
  void step_done(int step, const at::Tensor& denoised, double sigma);
  Result<TensorRef> preview_of(const at::Tensor& denoised) const;
  Status check_previews() const;
  void finish_trajectory();
  Status check_memory() const;
  std::string progress_text(int step, double sigma) const;

  TaskServices& services_;
  const TaskTicket ticket_;
  const SampleRequest request_;
  const RowModels models_;
  const std::shared_ptr<const DenoisingModel> model_;  ///< of the first row
  const std::shared_ptr<const TaesdDecoder> preview_decoder_;

  SamplePlan plan_;
  std::unique_ptr<StepNoise> step_noise_;
  std::unique_ptr<SamplerContext> context_;
  Trajectory trajectory_;

  Evaluation* evaluation_ = nullptr;  ///< in the coroutine's frame
  std::unique_ptr<GuidedRows> rows_;
  std::vector<RowResult> results_;
  std::size_t missing_ = 0;
  bool waiting_ = false;  ///< for the rows of evaluation_
  int rows_in_batch_ = 0;
  int steps_done_ = 0;
  bool preview_failed_ = false;
  std::uint64_t evaluations_ = 0;
  FiniteWatch finite_;
};

}  // namespace luna::worker
