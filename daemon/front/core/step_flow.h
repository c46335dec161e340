#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "daemon/front/core/caller.h"
#include "daemon/front/core/deferred.h"
#include "daemon/front/core/front_state.h"
#include "daemon/front/core/job_flow.h"

namespace luna::front {

/// The way of a step socket: a worker, and the end. Thread-safe.
class StepFlow : public std::enable_shared_from_this<StepFlow> {
 public:
  StepFlow(std::shared_ptr<FrontState> state, std::shared_ptr<JobFlow> jobs)
      : state_(std::move(state)), jobs_(std::move(jobs)) {}

  /// FrontCore::open_steps.
  Result<UniqueFd> open(const Caller& caller, const std::vector<std::string>& lora_files);

  /// With state->mutex held; workers are told in `after`. At once: what runs is cancelled, else it
  /// is answered first.
  using Which = std::function<bool(const StepTable::Socket&)>;
  void close(const Which& which, bool at_once, Deferred& after);
  void close_of_workflow(const std::string& workflow, Deferred& after) {
    close([&](const StepTable::Socket& s) { return s.workflow == workflow; }, false, after);
  }

 private:
  Result<std::map<std::string, std::string>> look_up(const Caller& caller,
                                                     const std::vector<std::string>& files) const;
  void tell(const StepTable::Socket& socket, Deferred& after);

  std::shared_ptr<FrontState> state_;
  std::shared_ptr<JobFlow> jobs_;
};

}  // namespace luna::front
