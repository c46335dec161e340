#include "client/rpc/inference_calls.h"

#include <utility>

#include "client/rpc/sample_reader.h"
#include "client/rpc/transfer.h"
#include "common/wire/primitives_wire.h"
#include "common/wire/sampling_wire.h"
#include "common/wire/utf8.h"

namespace luna::client {
namespace {

bool keeps(const JobRequest& request) {
  return std::visit(
      [](const auto& r) {
        if constexpr (requires { r.keep; }) return r.keep;
        return false;
      },
      request);
}

void set_keep(JobRequest& request) {
  std::visit(
      [](auto& r) {
        if constexpr (requires { r.keep; }) r.keep = true;
      },
      request);
}

/// A prompt that is no UTF-8 would be a message that lunad cannot read.
Status check_text(const JobRequest& request) {
  const std::string* text = nullptr;
  if (const auto* tokenize = std::get_if<TokenizeRequest>(&request)) text = &tokenize->text;
  if (const auto* encode = std::get_if<EncodeTextRequest>(&request)) text = &encode->text;
  if (!text || wire::is_utf8(*text)) return {};
  return Status(StatusCode::kInvalidArgument, "text: expected UTF-8, found other bytes");
}

/// What a unary exchange needs until its answer has been read.
template <class Message, class Response>
struct Unary {
  grpc::ClientContext context;
  Message message;
  Response response;
};

template <class Response>
Result<JobReply> read_reply(const Status& end, Response& response) {
  LUNA_RETURN_IF_ERROR(end);
  auto reply = wire::from_wire(response);
  if (!reply.ok()) return reply.status().with_context("lunad's reply");
  return JobReply(std::move(*reply));
}

}  // namespace

InferenceCalls::InferenceCalls(RpcConnection& connection)
    : connection_(connection),
      steps_([&connection](const std::string& workflow, const std::vector<std::string>& loras) {
        return connection.open_steps(workflow, loras);
      }) {}

InferenceCalls::~InferenceCalls() { running_.finish_all(); }

template <class Reply>
InferenceCalls::JobDone InferenceCalls::as_job_done(const std::shared_ptr<CallState>& call,
                                                    Done<Reply> done) {
  return [this, call, done = std::move(done)](Result<JobReply> result) {
    if (!result.ok()) {
      done(result.status());
    } else if (Reply* reply = std::get_if<Reply>(&*result)) {
      done(std::move(*reply));
    } else {
      done(error(StatusCode::kInternal, "lunad answered another kind of call"));
    }
    running_.end(call);
  };
}

template <class Reply, class Request>
std::shared_ptr<CallHandle> InferenceCalls::start(const CallOptions& options, Request request,
                                                  Progress progress, Done<Reply> done) {
  const auto call = running_.begin();
  start(options, JobRequest(std::move(request)), call, std::move(progress),
        as_job_done<Reply>(call, std::move(done)));
  return call;
}

void InferenceCalls::start(const CallOptions& options, JobRequest job,
                           const std::shared_ptr<CallState>& call, Progress progress,
                           JobDone job_done) {
  if (const Status status = check_text(job); !status.ok()) {
    return courier_.post([job_done = std::move(job_done), status] { job_done(status); });
  }
  const SharedMemory* shared = connection_.shared_memory();
  const bool fetch = !shared && !keeps(job) && reply_bytes_bound(job) > kInlineBytes;
  if (fetch || needs_upload(job) || (shared && SharedMemory::wanted(job))) {
    courier_.post([this, options, call, fetch, job = std::move(job), progress = std::move(progress),
                   job_done = std::move(job_done)]() mutable {
      start_large(options, std::move(job), call, std::move(progress), std::move(job_done), fetch);
    });
  } else {
    launch(options, job, call, std::move(progress), taking_regions(std::move(job_done)));
  }
}

InferenceCalls::JobDone InferenceCalls::taking_regions(JobDone done) {
  return [this, done = std::move(done)](Result<JobReply> result) mutable {
    if (!result.ok() || !SharedMemory::has_regions(*result)) return done(std::move(result));
    courier_.post([this, done = std::move(done), result = std::move(result)]() mutable {
      take_regions(result);
      done(std::move(result));
    });
  };
}

void InferenceCalls::take_regions(Result<JobReply>& result) {
  if (!result.ok() || !SharedMemory::has_regions(*result)) return;
  SharedMemory* shared = connection_.shared_memory();
  const Status taken =
      shared ? shared->take_all(*result)
             : Status(StatusCode::kUnavailable,
                      "the local socket to lunad has ended before the result was taken");
  if (!taken.ok()) result = taken;
}

void InferenceCalls::start_large(const CallOptions& options, JobRequest request,
                                 const std::shared_ptr<CallState>& call, Progress progress,
                                 JobDone done, bool fetch) {
  SharedMemory* shared = connection_.shared_memory();
  SharedMemory::Lent lent;
  if (shared) lent = shared->lend(request);
  std::vector<std::string> uploaded;
  const Status sent = upload_large(connection_, options, request, call.get(), &uploaded);
  if (fetch) set_keep(request);
  JobDone after = [this, options, call, fetch, uploaded, shared, lent = std::move(lent),
                   done = std::move(done)](Result<JobReply> result) mutable {
    courier_.post([this, options, call, fetch, uploaded = std::move(uploaded), shared,
                   lent = std::move(lent), done = std::move(done),
                   result = std::move(result)]() mutable {
      if (shared) shared->give_back(std::exchange(lent, {}));
      take_regions(result);
      if (!uploaded.empty()) {
        // The answer stands whether or not this works: the session's end frees them too.
        (void)free_tensors(connection_, {options.workflow_id, options.priority, {}}, uploaded);
      }
      if (result.ok() && fetch) {
        const Status got = download_all(connection_, options, *result, call.get());
        if (!got.ok()) result = got;
      }
      done(std::move(result));
    });
  };
  if (!sent.ok()) return after(sent);
  launch(options, request, call, std::move(progress), std::move(after));
}

template <class Response, class Message, class Method>
void InferenceCalls::launch_unary(const CallOptions& options,
                                  const std::shared_ptr<CallState>& call, JobDone done,
                                  Method method, Message message) {
  auto unary = std::make_shared<Unary<Message, Response>>();
  unary->message = std::move(message);
  if (const Status status = connection_.prepare(unary->context, options); !status.ok()) {
    courier_.post([done = std::move(done), status] { done(status); });
    return;
  }
  call->attach(&unary->context);
  auto& [context, sent, response] = *unary;
  (connection_.primitives().async()->*method)(
      &context, &sent, &response,
      [this, held = std::move(unary), call,
       done = std::move(done)](const grpc::Status& end) mutable {
        call->detach();
        Result<JobReply> outcome = read_reply(connection_.status(end), held->response);
        held.reset();  // before the answer, as in SampleReader::OnDone
        done(std::move(outcome));
      });
}

void InferenceCalls::launch_sample(const CallOptions& options, const SampleRequest& request,
                                   const std::shared_ptr<CallState>& call, Progress progress,
                                   JobDone done) {
  auto reader = std::make_unique<SampleReader>(connection_, call, std::move(progress), done);
  if (const Status status = connection_.prepare(reader->context(), options); !status.ok()) {
    courier_.post([done = std::move(done), status] { done(status); });
    return;
  }
  call->attach(&reader->context());
  reader.release()->start(request);  // deletes itself after its last callback
}

void InferenceCalls::launch(const CallOptions& options, const JobRequest& request,
                            const std::shared_ptr<CallState>& call, Progress progress,
                            JobDone done) {
  using Async = v1::Primitives::StubInterface::async_interface;
  const auto unary = [&]<class Response, class Message, class Request>(
                         void (Async::*method)(grpc::ClientContext*, const Message*, Response*,
                                               std::function<void(grpc::Status)>),
                         const Request& from) {
    Message message;
    wire::to_wire(from, &message);
    launch_unary<Response>(options, call, std::move(done), method, std::move(message));
  };
  if (const auto* tokenize = std::get_if<TokenizeRequest>(&request)) {
    unary(&Async::Tokenize, *tokenize);
  } else if (const auto* encode = std::get_if<EncodeTextRequest>(&request)) {
    unary(&Async::EncodeText, *encode);
  } else if (const auto* vae_encode = std::get_if<VaeEncodeRequest>(&request)) {
    unary(&Async::VaeEncode, *vae_encode);
  } else if (const auto* vae_decode = std::get_if<VaeDecodeRequest>(&request)) {
    unary(&Async::VaeDecode, *vae_decode);
  } else if (const auto* denoise = std::get_if<DenoiseRequest>(&request)) {
    unary(&Async::Denoise, *denoise);
  } else {
    launch_sample(options, std::get<SampleRequest>(request), call, std::move(progress),
                  std::move(done));
  }
}

std::shared_ptr<CallHandle> InferenceCalls::tokenize(const CallOptions& options,
                                                     TokenizeRequest request,
                                                     Done<TokenizeReply> done) {
  return start<TokenizeReply>(options, std::move(request), {}, std::move(done));
}

std::shared_ptr<CallHandle> InferenceCalls::encode_text(const CallOptions& options,
                                                        EncodeTextRequest request,
                                                        Done<EncodeTextReply> done) {
  return start<EncodeTextReply>(options, std::move(request), {}, std::move(done));
}

std::shared_ptr<CallHandle> InferenceCalls::vae_encode(const CallOptions& options,
                                                       VaeEncodeRequest request,
                                                       Done<VaeEncodeReply> done) {
  return start<VaeEncodeReply>(options, std::move(request), {}, std::move(done));
}

std::shared_ptr<CallHandle> InferenceCalls::vae_decode(const CallOptions& options,
                                                       VaeDecodeRequest request,
                                                       Done<VaeDecodeReply> done) {
  return start<VaeDecodeReply>(options, std::move(request), {}, std::move(done));
}

std::shared_ptr<CallHandle> InferenceCalls::denoise(const CallOptions& options,
                                                    DenoiseRequest request,
                                                    Done<DenoiseReply> done) {
  if (!connection_.shared_memory() || !StepPool::takes(request)) {
    return start<DenoiseReply>(options, std::move(request), {}, std::move(done));
  }
  const auto call = running_.begin();
  step_courier_.post([this, options, call, request = std::move(request),
                      done = as_job_done<DenoiseReply>(call, std::move(done))]() mutable {
    std::optional<Result<DenoiseReply>> reply = steps_.evaluate(options, request, *call);
    if (!reply) return start(options, std::move(request), call, {}, std::move(done));
    done(reply->ok() ? Result<JobReply>(JobReply(std::move(*reply).value())) : reply->status());
  });
  return call;
}

std::shared_ptr<CallHandle> InferenceCalls::sample(const CallOptions& options,
                                                   SampleRequest request, Progress progress,
                                                   Done<SampleReply> done) {
  return start<SampleReply>(options, std::move(request), std::move(progress), std::move(done));
}

}  // namespace luna::client
