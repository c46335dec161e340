#include "client/rpc/session_stream.h"

#include "client/rpc/rpc_status.h"
#include "common/local/host_id.h"

namespace luna::client {
namespace {

constexpr const char* kClientVersion = "0.1.0";

}  // namespace

SessionStream::~SessionStream() {
  if (!opened_) return;
  context_.TryCancel();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return end_.has_value(); });
}

void SessionStream::open(v1::Sessions::Stub& stub, const std::string& client_name) {
  v1::SessionHello* hello = hello_.mutable_hello();
  hello->set_client_name(client_name);
  hello->set_client_version(kClientVersion);
  hello->set_host_id(host_id());
  opened_ = true;
  stub.async()->Attend(&context_, this);
  StartWrite(&hello_);
  StartRead(&response_);
  StartCall();
}

Result<v1::SessionWelcome> SessionStream::wait_for_welcome(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto known = [this] { return welcome_ || end_; };
  if (deadline.infinite()) {
    changed_.wait(lock, known);
  } else {
    changed_.wait_until(lock, deadline.at(), known);
  }
  if (welcome_ && !end_) return *welcome_;
  if (end_) return *end_;
  return error(
      StatusCode::kUnavailable,
      "lunad at {} did not answer in time; start lunad, or give the address of one that runs",
      address_);
}

Status SessionStream::state() const {
  std::lock_guard lock(mutex_);
  if (!end_) return {};
  return error(StatusCode::kUnavailable,
               "the session with lunad at {} has ended ({}); connect again", address_,
               goodbye_.empty() ? end_->message() : goodbye_);
}

void SessionStream::OnReadDone(bool ok) {
  if (!ok) return;  // OnDone follows
  {
    std::lock_guard lock(mutex_);
    if (response_.has_welcome()) welcome_ = response_.welcome();
    if (response_.has_goodbye()) goodbye_ = response_.goodbye().reason();
    changed_.notify_all();
  }
  StartRead(&response_);
}

void SessionStream::OnDone(const grpc::Status& status) {
  std::lock_guard lock(mutex_);
  end_ = from_grpc(status, address_);
  if (end_->ok()) end_ = Status(StatusCode::kUnavailable, "the server ended it");
  changed_.notify_all();
}

}  // namespace luna::client
