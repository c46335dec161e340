#include "daemon/front/core/registration.h"

#include <utility>

#include "common/model_files/model_files.h"
#include "daemon/front/core/model_assignment.h"
#include "daemon/front/core/random_id.h"
#include "daemon/front/core/reply_collector.h"

namespace luna::front {
namespace {

/// One registration on its way; kept alive by the receivers of the jobs that it waits for.
class Registration : public std::enable_shared_from_this<Registration> {
 public:
  Registration(std::shared_ptr<FrontState> state, std::shared_ptr<JobFlow> flow, Caller caller,
               std::string id, RequestedModels requested, std::uint32_t ttl_seconds, bool preload,
               std::function<void(Result<WorkflowInfo>)> done)
      : state_(std::move(state)),
        flow_(std::move(flow)),
        caller_(std::move(caller)),
        id_(id.empty() ? random_id("w-") : std::move(id)),
        requested_(std::move(requested)),
        ttl_seconds_(ttl_seconds),
        preload_(preload),
        done_(std::move(done)) {}

  void begin() {
    if (Status status = look_up(); !status.ok()) {
      done_(status);
      return;
    }
    {
      std::lock_guard lock(state_->mutex);
      ++state_->registrations;
    }
    inspect();
  }

 private:
  Status look_up() {
    LUNA_RETURN_IF_ERROR(WorkflowRegistry::check_id(id_));
    if (ttl_seconds_ > WorkflowRegistry::kMaxTtlSeconds) {
      return error(StatusCode::kInvalidArgument, "ttl_seconds: at most {} were expected, found {}",
                   WorkflowRegistry::kMaxTtlSeconds, ttl_seconds_);
    }
    {
      std::lock_guard lock(state_->mutex);
      state_->touch();
      if (state_->draining) {
        return error(StatusCode::kFailedPrecondition,
                     "the daemon is stopping and takes no new calls");
      }
      if (caller_.deadline.expired()) {
        return error(StatusCode::kDeadlineExceeded, "the call's deadline had passed when it came");
      }
      LUNA_RETURN_IF_ERROR(state_->workflows.check_room(id_));
      sequence_ = state_->workflows.begin();
    }
    located_ = locate_models(requested_, state_->roots, caller_.local);
    return {};
  }

  void inspect() {
    for (const std::string& path : located_.files()) {
      Result<FileIdentity> identity = identify_model(path);
      if (!identity.ok()) {
        inspected_.emplace(path, identity.status());
        continue;
      }
      std::lock_guard lock(state_->mutex);
      if (auto known = state_->inspections.find(*identity)) {
        inspected_.emplace(path, *std::move(known));
      } else {
        unknown_.push_back(*std::move(identity));
      }
    }
    const auto receivers = ReplyCollector::receivers(
        unknown_.size(), [self = shared_from_this()](std::vector<Result<JobReply>> replies) {
          self->on_inspected(std::move(replies));
        });
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      flow_->submit_internal(caller_, InspectModelRequest{unknown_[i].path}, {}, receivers[i]);
    }
  }

  void on_inspected(std::vector<Result<JobReply>> replies) {
    for (std::size_t i = 0; i < replies.size(); ++i) {
      const FileIdentity& file = unknown_[i];
      if (!replies[i].ok()) {
        inspected_.emplace(file.path, replies[i].status());
        continue;
      }
      auto* reply = std::get_if<InspectModelReply>(&*replies[i]);
      if (!reply) {
        return end(error(StatusCode::kInternal, "a worker answered an inspection of '{}' otherwise",
                         file.path));
      }
      inspected_.emplace(file.path, reply->components);
      // A file that was replaced meanwhile is inspected anew the next time.
      if (const Result<FileIdentity> now = identify_model(file.path); now.ok() && *now == file) {
        std::lock_guard lock(state_->mutex);
        state_->inspections.put(file, std::move(reply->components));
      }
    }
    Result<AssignedModels> assigned = assign_models(located_, inspected_);
    if (!assigned.ok()) return end(assigned.status());
    assigned_ = *std::move(assigned);
    preload_ ? load() : install();
  }

  void load() {
    std::vector<LoadModelRequest> loads;
    for (const auto& [slot, model] : assigned_.models.slots) loads.push_back({slot, model});
    const auto receivers = ReplyCollector::receivers(
        loads.size(), [self = shared_from_this()](std::vector<Result<JobReply>> replies) {
          for (const Result<JobReply>& reply : replies) {
            if (!reply.ok()) return self->end(reply.status().with_context("preload"));
          }
          self->install();
        });
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      flow_->submit_internal(caller_, loads[i], assigned_.models, receivers[i]);
    }
  }

  void install() {
    Result<WorkflowInfo> info = Status(StatusCode::kInternal, "not installed");
    {
      std::lock_guard lock(state_->mutex);
      const std::optional<ModelSet> before = state_->workflows.models_of(id_);
      const bool another = before && *before != assigned_.models;
      info = state_->workflows.install(sequence_, id_, std::move(requested_), std::move(assigned_),
                                       ttl_seconds_, state_->clock());
      if (info.ok() && another) state_->steps.end_of_workflow(id_);
    }
    end(std::move(info));
  }

  void end(Result<WorkflowInfo> result) {
    Deferred after;
    std::lock_guard lock(state_->mutex);
    --state_->registrations;
    state_->touch();
    after.add([done = std::move(done_), result = std::move(result)]() mutable {
      done(std::move(result));
    });
    flow_->notice_idle(after);
  }

  std::shared_ptr<FrontState> state_;
  std::shared_ptr<JobFlow> flow_;
  Caller caller_;
  std::string id_;
  RequestedModels requested_;
  std::uint32_t ttl_seconds_;
  bool preload_;
  std::function<void(Result<WorkflowInfo>)> done_;
  std::uint64_t sequence_ = 0;
  LocatedModels located_;
  std::vector<FileIdentity> unknown_;  ///< files that a worker must look at
  Inspected inspected_;
  AssignedModels assigned_;
};

}  // namespace

void register_workflow(std::shared_ptr<FrontState> state, std::shared_ptr<JobFlow> flow,
                       const Caller& caller, std::string id, RequestedModels requested,
                       std::uint32_t ttl_seconds, bool preload,
                       std::function<void(Result<WorkflowInfo>)> done) {
  std::make_shared<Registration>(std::move(state), std::move(flow), caller, std::move(id),
                                 std::move(requested), ttl_seconds, preload, std::move(done))
      ->begin();
}

}  // namespace luna::front
