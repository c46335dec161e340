#pragma once

#include "daemon/front/core/front_core.h"
#include "daemon/front/local/steps_opener.h"

namespace luna::front {

/// FrontCore::open_steps for clients of the local socket.
class CoreSteps final : public StepsOpener {
 public:
  explicit CoreSteps(FrontCore& core) : core_(core) {}

  void open_steps(const std::string& session_id, const std::string& workflow_id,
                  const std::vector<std::string>& lora_files, Done done) override {
    Caller caller;
    caller.session_id = session_id;
    caller.workflow_id = workflow_id;
    done(core_.open_steps(caller, lora_files));
  }

 private:
  FrontCore& core_;
};

}  // namespace luna::front
