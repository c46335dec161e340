#pragma once

#include <future>
#include <memory>
#include <utility>

#include "client/service/inference_service.h"

namespace luna::bench {

/// Calls `start(done)` and waits for the answer that `done` is given.
template <class Reply, class Start>
Result<Reply> wait_for(Start&& start) {
  auto promise = std::make_shared<std::promise<Result<Reply>>>();
  auto future = promise->get_future();
  start([promise](Result<Reply> result) { promise->set_value(std::move(result)); });
  return future.get();
}

}  // namespace luna::bench
