#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "common/base/deadline.h"
#include "common/base/status.h"
#include "luna/v1/session.grpc.pb.h"

namespace luna::client {

/// The client's end of Sessions.Attend: says Hello, and listens until the stream ends. Once ended
/// it stays so.
class SessionStream final
    : public grpc::ClientBidiReactor<v1::SessionRequest, v1::SessionResponse> {
 public:
  explicit SessionStream(std::string address) : address_(std::move(address)) {}
  /// Ends the stream and waits for gRPC to let go of it.
  ~SessionStream() override;

  void open(v1::Sessions::Stub& stub, const std::string& client_name);
  /// The server's welcome, or why there is none.
  Result<v1::SessionWelcome> wait_for_welcome(Deadline deadline);
  /// Ok while the stream lives; UNAVAILABLE with the reason afterwards.
  Status state() const;

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  std::string address_;
  grpc::ClientContext context_;
  v1::SessionRequest hello_;
  v1::SessionResponse response_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<v1::SessionWelcome> welcome_;
  std::string goodbye_;
  std::optional<Status> end_;
  bool opened_ = false;
};

}  // namespace luna::client
