#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/engine/task.h"
#include "daemon/worker/models/text_encoder.h"

namespace luna::worker {

/// One prompt through a text encoder, as one item. The tokens were made before.
class EncodeTextTask final : public Task {
 public:
  EncodeTextTask(TaskServices& services, TaskTicket ticket, EncodeTextRequest request,
                 std::vector<std::string> warnings, std::shared_ptr<const TextEncoder> encoder);

  /// INVALID_ARGUMENT for tokens of an encoder that this is not.
  Status start() override;
  bool has_item() const override { return !finished(); }
  void run_item() override;

 private:
  Result<JobReply> encode();

  TaskServices& services_;
  const TaskTicket ticket_;
  const EncodeTextRequest request_;
  const std::vector<std::string> warnings_;
  const std::shared_ptr<const TextEncoder> encoder_;
};

}  // namespace luna::worker
