#include "daemon/worker/steps/step_request.h"

#include <memory>
#include <utility>

#include "common/types/request_tensors.h"
#include "common/wire/sampling_wire.h"

namespace luna::worker {
namespace {

/// Each tensor's bytes in place of the region that it names.
Status find_tensors(JobRequest& request, StepRegions& regions) {
  return for_each_tensor(request, [&](TensorRef& tensor, const std::string& name) -> Status {
    if (const auto* region = std::get_if<SharedRegion>(&tensor.place)) {
      Result<BytesPtr> bytes = regions.read(*region, tensor.spec.byte_size());
      if (!bytes.ok()) return bytes.status().with_context(name);
      tensor.place = std::move(bytes).value();
      return {};
    }
    if (std::holds_alternative<std::monostate>(tensor.place) || tensor.host_bytes()) return {};
    return error(StatusCode::kInvalidArgument,
                 "{}: expected bytes, or a region of this step socket; tensors that stay on the "
                 "server are for Primitives.Denoise",
                 name);
  });
}

Status find_loras(JobRequest& request, const std::map<std::string, std::string>& files) {
  return for_each_lora(request, [&](LoraRef& lora) -> Status {
    const auto known = files.find(lora.path);
    if (known == files.end()) {
      return error(StatusCode::kFailedPrecondition,
                   "lora '{}' is not among the {} lora_files that this step socket was opened for; "
                   "open another one",
                   lora.path.substr(0, 256), files.size());
    }
    lora.path = known->second;
    return {};
  });
}

/// Row i's result goes to target i: the engine makes them in their order.
class IntoRegions {
 public:
  explicit IntoRegions(std::vector<StepRegions::Target> targets)
      : state_(std::make_shared<State>(State{std::move(targets), 0})) {}

  Result<BytesPtr> operator()(std::size_t size,
                              const std::function<void(std::span<std::byte>)>& fill) const {
    State& state = *state_;
    if (state.next >= state.targets.size() || state.targets[state.next].bytes.size() != size) {
      return error(StatusCode::kInternal, "a result of {} bytes has no place in the regions", size);
    }
    const StepRegions::Target& target = state.targets[state.next++];
    fill(target.bytes);
    return target.owner;
  }

 private:
  struct State {
    std::vector<StepRegions::Target> targets;
    std::size_t next = 0;
  };
  std::shared_ptr<State> state_;
};

Result<std::vector<StepRegions::Target>> find_targets(const std::vector<SharedRegion>& into,
                                                      const DenoiseRequest& request,
                                                      StepRegions& regions) {
  std::vector<StepRegions::Target> targets;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const TensorSpec result{DType::kF32, request.rows[i].x.spec.shape};
    LUNA_RETURN_IF_ERROR(result.validate().with_context(fmt::format("into[{}]", i)));
    Result<StepRegions::Target> target = regions.write(into[i], result.byte_size());
    if (!target.ok()) return target.status().with_context(fmt::format("into[{}]", i));
    targets.push_back(std::move(target).value());
  }
  return targets;
}

}  // namespace

Result<StepRequest> read_step(v1::DenoiseStep& message, const StepsOpening& opening,
                              StepRegions& regions) {
  StepRequest step;
  LUNA_ASSIGN_OR_RETURN(DenoiseRequest request, wire::from_wire(*message.mutable_request()));
  if (request.rows.empty() || request.rows.size() > opening.rows_per_call) {
    return error(StatusCode::kInvalidArgument, "rows: 1 to {} rows a call were expected, found {}",
                 opening.rows_per_call, request.rows.size());
  }
  if (request.keep) {
    return error(StatusCode::kInvalidArgument,
                 "keep: a step socket keeps nothing on the server; call Primitives.Denoise");
  }
  if (message.into_size() != 0 &&
      static_cast<std::size_t>(message.into_size()) != request.rows.size()) {
    return error(StatusCode::kInvalidArgument,
                 "into: expected none, or one for each of the {} rows, found {}",
                 request.rows.size(), message.into_size());
  }
  for (v1::SharedRegion& place : *message.mutable_into())
    step.into.push_back({std::move(*place.mutable_region_id()), place.offset()});
  if (!step.into.empty()) {
    LUNA_ASSIGN_OR_RETURN(auto targets, find_targets(step.into, request, regions));
    step.make_bytes = IntoRegions(std::move(targets));
  }
  if (!message.priority().empty()) {
    const std::optional<Priority> priority = priority_from_name(message.priority());
    if (!priority) {
      return error(StatusCode::kInvalidArgument,
                   "priority: expected interactive, normal or bulk, found '{}'",
                   message.priority().substr(0, 64));
    }
    step.job.priority = *priority;
  }
  step.job.workflow = opening.workflow;
  step.job.models = opening.models;
  step.job.request = std::move(request);
  LUNA_RETURN_IF_ERROR(find_tensors(step.job.request, regions));
  LUNA_RETURN_IF_ERROR(find_loras(step.job.request, opening.lora_files));
  return step;
}

}  // namespace luna::worker
