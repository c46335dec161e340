#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/engine/task.h"
#include "daemon/worker/models/text_encoder.h"

namespace luna::worker {

/// One prompt through the text encoders of a model set, as one item. The tokens were made before.
/// SDXL's two give one encoding: their states side by side, and the pooled vector of CLIP-G.
class EncodeTextTask final : public Task {
 public:
  EncodeTextTask(TaskServices& services, TaskTicket ticket, EncodeTextRequest request,
                 std::vector<std::string> warnings,
                 std::vector<std::shared_ptr<const TextEncoder>> encoders);

  /// INVALID_ARGUMENT for tokens of an encoder that is none of these.
  Status start() override;
  bool has_item() const override { return !finished(); }
  void run_item() override;

 private:
  Result<JobReply> encode();
  Result<TextEncoding> run(const TextEncoder& encoder);
  TextLayer layer() const;

  TaskServices& services_;
  const TaskTicket ticket_;
  const EncodeTextRequest request_;
  const std::vector<std::string> warnings_;
  const std::vector<std::shared_ptr<const TextEncoder>> encoders_;
};

}  // namespace luna::worker
