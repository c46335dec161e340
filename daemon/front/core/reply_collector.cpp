#include "daemon/front/core/reply_collector.h"

#include <mutex>
#include <utility>

namespace luna::front {
namespace {

struct Collected {
  std::mutex mutex;
  std::size_t missing = 0;
  std::vector<Result<JobReply>> replies;
  ReplyCollector::Done done;
};

}  // namespace

std::vector<std::function<void(Result<JobReply>)>> ReplyCollector::receivers(std::size_t count,
                                                                             Done done) {
  if (count == 0) {
    done({});
    return {};
  }
  auto collected = std::make_shared<Collected>();
  collected->missing = count;
  collected->done = std::move(done);
  collected->replies.assign(count, Status(StatusCode::kInternal, "the job gave no reply"));
  std::vector<std::function<void(Result<JobReply>)>> receivers;
  for (std::size_t i = 0; i < count; ++i) {
    receivers.emplace_back([collected, i](Result<JobReply> reply) {
      {
        std::lock_guard lock(collected->mutex);
        collected->replies[i] = std::move(reply);
        if (--collected->missing > 0) return;
      }
      collected->done(std::move(collected->replies));
    });
  }
  return receivers;
}

}  // namespace luna::front
