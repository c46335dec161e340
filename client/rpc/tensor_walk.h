#pragma once

#include <functional>

#include "common/types/job.h"

namespace luna::client {

/// Calls `visit` for every tensor of a request or reply, in the order of its fields.
using TensorVisitor = std::function<void(TensorRef&)>;
void for_each_tensor(JobRequest& request, const TensorVisitor& visit);
void for_each_tensor(JobReply& reply, const TensorVisitor& visit);

}  // namespace luna::client
