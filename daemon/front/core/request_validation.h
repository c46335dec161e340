#pragma once

#include <optional>
#include <vector>

#include "common/base/status.h"
#include "common/config/config.h"
#include "common/types/job.h"
#include "common/types/model.h"
#include "common/types/role.h"

namespace luna::front {

/// Where the tensors of a request are, as it came: INVALID_ARGUMENT for bytes that are too many or
/// do not fit their spec, or a CUDA handle that cannot be right.
Status validate_places(const JobRequest& request, const Config::Limits& limits);

/// Everything about a request that can be told without its models and its tensors' values: counts,
/// ranges, shapes, sizes. Resident tensors and regions were replaced by what they stand for.
/// INVALID_ARGUMENT names the field, what was expected and what was found.
Status validate_request(const JobRequest& request, const Config::Limits& limits);

/// One tensor that a client brings, before it is kept.
Status validate_upload(const TensorSpec& spec, const BytesPtr& bytes, const Config::Limits& limits);

/// FAILED_PRECONDITION when a workflow of these components leaves slots empty that this kind of
/// call needs: names all of them, where each may come from, and what else pictures would need.
Status check_slots(const JobRequest& request, const std::vector<ComponentInfo>& components);
/// Whether this kind of call is made under a workflow's id; else it is about files or memory.
bool needs_workflow(const JobRequest& request);
/// The role of the worker that this kind of call needs; nullopt: any worker will do.
std::optional<Role> role_needed(const JobRequest& request);
/// The slots that this kind of call reads, of those that are filled; but for a preview model, too
/// small to lead a call away from the worker that has its UNet.
std::vector<Slot> slots_used(const JobRequest& request, const ModelSet& models);

}  // namespace luna::front
