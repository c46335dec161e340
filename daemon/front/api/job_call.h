#pragma once

#include <utility>

#include "daemon/front/api/call_metadata.h"
#include "daemon/front/api/unary_call.h"

namespace luna::front {

/// Submits a request as a job of the caller, and writes its reply into `response` with
/// `write(const Reply&, Response*)`. Nothing here waits; the answer leaves from the thread that has
/// it.
template <class Reply, class Response, class Write>
grpc::ServerUnaryReactor* run_job(ApiContext& api, Gate::Ticket ticket, const Caller& caller,
                                  JobRequest request, Response* response, Write write) {
  const auto call = UnaryCall::open(std::move(ticket));
  JobEvents events;
  events.on_done = [call, response, write, &api,
                    session = caller.session_id](Result<JobReply> result) {
    call->finish_with([&]() -> Status {
      if (!result.ok()) return result.status();
      const Reply* reply = std::get_if<Reply>(&*result);
      if (!reply) return error(StatusCode::kInternal, "a worker answered another kind of job");
      HandedOver results = hand_over(api.core, session, *result);
      if (Status status = check_inline_size(*result, api.limits); !status.ok()) {
        results.drop();
        return status;
      }
      write(*reply, response);
      call->answer_with(std::move(results));
      return {};
    });
  };
  const JobId job = api.core.submit(caller, std::move(request), std::move(events));
  call->bind(api.core, job);
  return call.get();
}

}  // namespace luna::front
