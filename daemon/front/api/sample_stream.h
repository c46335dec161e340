#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include <grpcpp/support/server_callback.h>

#include "daemon/front/api/api_context.h"
#include "daemon/front/api/handed_over.h"
#include "luna/v1/primitives.pb.h"

namespace luna::front {

/// One Sample call. At most one message is on its way and one progress waits behind it: a newer
/// progress takes the place of one that still waits (its preview stays unless it brings another),
/// so a slow reader neither blocks the sampler nor makes anything grow. The result is never dropped
/// and comes last. Owns itself until gRPC is done with it.
class SampleStream final : public grpc::ServerWriteReactor<v1::SampleResponse>,
                           public std::enable_shared_from_this<SampleStream> {
 public:
  static std::shared_ptr<SampleStream> open(ApiContext& api, Gate::Ticket ticket);

  /// Submits the job.
  void start(const Caller& caller, SampleRequest request);
  /// Ends a call that never became a job.
  void refuse(const Status& status);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void on_progress(const SampleProgress& progress);
  void on_done(Result<JobReply> result);
  /// Writes what waits, or finishes; the lock is held.
  void advance();

  ApiContext* api_ = nullptr;
  std::mutex mutex_;
  std::shared_ptr<SampleStream> self_;
  Gate::Ticket ticket_;
  JobId job_;
  bool submitted_ = false;
  bool cancelled_ = false;
  bool writing_ = false;
  bool finished_ = false;
  v1::SampleResponse on_its_way_;
  std::optional<SampleProgress> waiting_;
  std::optional<SampleReply> result_;
  std::string session_;
  HandedOver regions_;         ///< of the result, until it is known to have left
  std::optional<Status> end_;  ///< known once the job is done or the call cancelled
};

}  // namespace luna::front
