#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <grpcpp/support/client_callback.h>

#include "client/rpc/call_state.h"
#include "client/rpc/connection.h"
#include "common/types/job.h"

namespace luna::client {

/// The client's end of one Sample call: progress as it comes, the result at the end. Made with new,
/// and deletes itself before `done` once it has been started.
class SampleReader final : public grpc::ClientReadReactor<v1::SampleResponse> {
 public:
  SampleReader(RpcConnection& connection, std::shared_ptr<CallState> call,
               std::function<void(const SampleProgress&)> progress,
               std::function<void(Result<JobReply>)> done)
      : connection_(connection),
        call_(std::move(call)),
        progress_(std::move(progress)),
        done_(std::move(done)) {}

  grpc::ClientContext& context() { return context_; }
  void start(const SampleRequest& request);

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& end) override;

 private:
  /// Takes one message apart.
  Status take();
  Result<JobReply> finish(const Status& end);

  RpcConnection& connection_;
  std::shared_ptr<CallState> call_;
  std::function<void(const SampleProgress&)> progress_;
  std::function<void(Result<JobReply>)> done_;
  grpc::ClientContext context_;
  v1::SampleRequest request_;
  v1::SampleResponse response_;
  std::optional<SampleReply> result_;
  Status failure_;  ///< of reading what came
};

}  // namespace luna::client
