#pragma once

#include <memory>

#include "client/rpc/call_state.h"
#include "client/rpc/connection.h"
#include "client/rpc/courier.h"
#include "client/rpc/step_pool.h"
#include "client/service/inference_service.h"

namespace luna::client {

/// The primitives over one connection. Where there is shared memory large tensors go and come
/// through it. Else requests whose tensors do not fit inline are uploaded first, and results that
/// would not fit are kept on the server, fetched and freed, unless the caller wants them kept.
/// Evaluations go over step sockets then, and over gRPC where there is none.
class InferenceCalls final : public InferenceService {
 public:
  explicit InferenceCalls(RpcConnection& connection);
  /// Cancels what runs and waits until all of it has been answered.
  ~InferenceCalls() override;

  std::shared_ptr<CallHandle> tokenize(const CallOptions&, TokenizeRequest,
                                       Done<TokenizeReply>) override;
  std::shared_ptr<CallHandle> encode_text(const CallOptions&, EncodeTextRequest,
                                          Done<EncodeTextReply>) override;
  std::shared_ptr<CallHandle> vae_encode(const CallOptions&, VaeEncodeRequest,
                                         Done<VaeEncodeReply>) override;
  std::shared_ptr<CallHandle> vae_decode(const CallOptions&, VaeDecodeRequest,
                                         Done<VaeDecodeReply>) override;
  std::shared_ptr<CallHandle> denoise(const CallOptions&, DenoiseRequest,
                                      Done<DenoiseReply>) override;
  std::shared_ptr<CallHandle> sample(const CallOptions&, SampleRequest,
                                     std::function<void(const SampleProgress&)>,
                                     Done<SampleReply>) override;

 private:
  using Progress = std::function<void(const SampleProgress&)>;
  using JobDone = std::function<void(Result<JobReply>)>;

  template <class Reply>
  JobDone as_job_done(const std::shared_ptr<CallState>& call, Done<Reply> done);
  template <class Reply, class Request>
  std::shared_ptr<CallHandle> start(const CallOptions& options, Request request, Progress progress,
                                    Done<Reply> done);
  void start(const CallOptions& options, JobRequest request, const std::shared_ptr<CallState>& call,
             Progress progress, JobDone done);
  /// `done` with the bytes of results that came as regions, from one of the courier's threads.
  JobDone taking_regions(JobDone done);
  void take_regions(Result<JobReply>& result);
  /// Lends or uploads, runs, fetches; on one of the courier's threads up to the launch, and again
  /// for the fetching.
  void start_large(const CallOptions& options, JobRequest request,
                   const std::shared_ptr<CallState>& call, Progress progress, JobDone done,
                   bool fetch);
  /// Sends the request as it is; a failure to send is answered by the courier.
  void launch(const CallOptions& options, const JobRequest& request,
              const std::shared_ptr<CallState>& call, Progress progress, JobDone done);
  template <class Response, class Message, class Method>
  void launch_unary(const CallOptions& options, const std::shared_ptr<CallState>& call,
                    JobDone done, Method method, Message message);
  void launch_sample(const CallOptions& options, const SampleRequest& request,
                     const std::shared_ptr<CallState>& call, Progress progress, JobDone done);

  RpcConnection& connection_;
  RunningCalls running_;
  StepPool steps_;
  Courier courier_;
  Courier step_courier_;  ///< whose threads wait for evaluations
};

}  // namespace luna::client
