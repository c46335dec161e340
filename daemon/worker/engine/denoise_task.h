#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/engine/request_tensors.h"
#include "daemon/worker/engine/row_models.h"
#include "daemon/worker/engine/task.h"

namespace luna::worker {

/// One evaluation for each row of a DenoiseRequest, through the same batcher as whole trajectories.
/// Rows may differ in shape and sigma.
class DenoiseTask final : public Task, private RowSink {
 public:
  DenoiseTask(TaskServices& services, TaskTicket ticket, DenoiseRequest request, RowModels models);
  ~DenoiseTask() override;

  Status start() override;
  void advance() override;

 private:
  struct Row {
    at::Tensor x;  ///< [1, C, h, w] f32 on the device
    double sigma = 0;
    bool raw = false;  ///< the client preconditions: the answer is the network's own output
    RowResult result;
  };
  Urgency urgency() const override { return ticket_.urgency(services_.fair_share); }
  const std::string& workflow() const override { return ticket_.workflow; }
  void row_done(std::size_t index, RowResult result) override;
  void row_failed(std::size_t index, const Status& status) override;
  Result<ModelRow> prepare(std::size_t index);
  Result<JobReply> make_reply();

  TaskServices& services_;
  const TaskTicket ticket_;
  const DenoiseRequest request_;
  const RowModels models_;
  const std::shared_ptr<const DenoisingModel> model_;  ///< of the first row
  std::shared_ptr<const ModelSampling> sampling_;
  std::vector<Row> rows_;
  std::size_t missing_ = 0;
};

}  // namespace luna::worker
