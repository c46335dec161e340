#pragma once

#include <functional>
#include <string>

#include "common/types/job.h"

namespace luna {

/// Calls visit(tensor, name) for every tensor of a request, names as a client would write them
/// ("rows[2].conditioning.positive[0].cross_attn"). Stops at the first failure and returns it.
using TensorVisit = std::function<Status(TensorRef&, const std::string&)>;
Status for_each_tensor(JobRequest& request, const TensorVisit& visit);
/// The same, and nothing can be changed.
Status for_each_tensor(const JobRequest& request,
                       const std::function<Status(const TensorRef&, const std::string&)>& visit);
/// The same for a reply.
Status for_each_tensor(JobReply& reply, const TensorVisit& visit);

/// Calls visit(tensor) for every tensor of a request or reply, in the same order.
void visit_tensors(JobRequest& request, const std::function<void(TensorRef&)>& visit);
void visit_tensors(JobReply& reply, const std::function<void(TensorRef&)>& visit);

/// Calls visit for every LoRA of a request.
Status for_each_lora(JobRequest& request, const std::function<Status(LoraRef&)>& visit);

/// Does the request ask that results stay on the server?
bool wants_keep(const JobRequest& request);

}  // namespace luna
