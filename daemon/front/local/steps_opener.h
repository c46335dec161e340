#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/base/unique_fd.h"

namespace luna::front {

/// Hands out sockets to workers, for single evaluations without the front in between (OpenSteps).
class StepsOpener {
 public:
  virtual ~StepsOpener() = default;
  using Done = std::function<void(Result<UniqueFd>)>;
  /// `done` comes once, from any thread, with the client's end of a connected socket. The workflow
  /// and the files of LoRAs are named by the client and are checked here.
  virtual void open_steps(const std::string& session_id, const std::string& workflow_id,
                          const std::vector<std::string>& lora_files, Done done) = 0;
};

}  // namespace luna::front
