#include "daemon/front/api/sessions_service.h"

#include <deque>

#include "common/wire/status_mapping.h"
#include "daemon/front/api/grpc_status.h"
#include "daemon/front/core/plane_desk.h"

namespace luna::front {

/// One client's stream. The next request is read only when every answer has left, so a client that
/// asks and does not listen holds one request. Owns itself until gRPC is done with it.
class SessionStream final : public grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>,
                            public std::enable_shared_from_this<SessionStream> {
 public:
  SessionStream(ApiContext& api, OpenSessions& open) : api_(api), open_(open) {}

  void start() {
    self_ = shared_from_this();
    if (auto ticket = api_.gate.enter(); !ticket.ok()) {
      end(ticket.status());
      return;
    }
    open_.add(self_);
    if (api_.gate.closed()) say_goodbye("lunad is stopping");
    StartRead(&request_);
  }

  void say_goodbye(const std::string& reason) {
    v1::SessionResponse response;
    response.mutable_goodbye()->set_reason(reason);
    std::lock_guard lock(mutex_);
    send(std::move(response));
  }

  /// Closes the session, and the stream as soon as what is being written has left.
  void end(const Status& status) {
    std::string session;
    {
      std::lock_guard lock(mutex_);
      if (!end_) end_ = status;
      answers_.clear();
      session.swap(session_id_);
      if (!writing_) finish();
    }
    if (!session.empty()) api_.core.close_session(session);
  }

  void OnReadDone(bool ok) override {
    const auto keep = shared_from_this();
    if (!ok) return end({});
    v1::SessionResponse response;
    if (const Status status = answer(&response); !status.ok()) return end(status);
    std::lock_guard lock(mutex_);
    read_next_ = true;
    send(std::move(response));
  }

  void OnWriteDone(bool ok) override {
    const auto keep = shared_from_this();
    if (!ok) end(Status(StatusCode::kCancelled, "the client went away"));
    std::lock_guard lock(mutex_);
    writing_ = false;
    write_next();
  }

  void OnCancel() override {
    const auto keep = shared_from_this();
    end(Status(StatusCode::kCancelled, "the client went away"));
  }

  void OnDone() override {
    open_.remove(this);
    const auto last = std::move(self_);
  }

 private:
  static constexpr std::size_t kMaxNameBytes = 256;

  Status answer(v1::SessionResponse* response) {
    switch (request_.message_case()) {
      case v1::SessionRequest::kHello:
        return greet(response->mutable_welcome());
      case v1::SessionRequest::kPing:
        if (!greeted_)
          return error(StatusCode::kInvalidArgument, "expected Hello first, found Ping");
        response->mutable_pong()->set_nonce(request_.ping().nonce());
        return {};
      case v1::SessionRequest::MESSAGE_NOT_SET:
        break;
    }
    return error(StatusCode::kInvalidArgument, "expected Hello or Ping, found an empty request");
  }

  Status greet(v1::SessionWelcome* welcome) {
    if (std::exchange(greeted_, true)) {
      return error(StatusCode::kInvalidArgument,
                   "a session takes one Hello, and a second one came");
    }
    const v1::SessionHello& hello = request_.hello();
    const std::string session = api_.core.open_session(
        wire::trailer_message(hello.client_name(), kMaxNameBytes), hello.host_id());
    if (session.empty()) {
      return error(StatusCode::kResourceExhausted, "{} sessions are open, as many as are allowed",
                   api_.limits.sessions);
    }
    welcome->set_session_id(session);
    welcome->set_server_version(api_.core.status().version);
    if (const auto offer = api_.core.planes().offer(session)) {
      welcome->mutable_local_socket()->set_path(offer->path);
      welcome->mutable_local_socket()->set_token(offer->token);
      welcome->add_planes("shm");
    }
    welcome->add_planes("inline");
    {
      std::lock_guard lock(mutex_);
      if (!end_) {
        session_id_ = session;
        return {};
      }
    }
    api_.core.close_session(session);  // the client went away while it was opened
    return Status(StatusCode::kCancelled, "the client went away");
  }

  // Below here the lock is held.

  void send(v1::SessionResponse response) {
    if (end_) return;
    answers_.push_back(std::move(response));
    write_next();
  }

  void write_next() {
    if (writing_) return;
    if (end_) return finish();
    if (answers_.empty()) {
      if (std::exchange(read_next_, false)) StartRead(&request_);
      return;
    }
    on_its_way_ = std::move(answers_.front());
    answers_.pop_front();
    writing_ = true;
    StartWrite(&on_its_way_);
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    Finish(to_grpc(*end_));
  }

  ApiContext& api_;
  OpenSessions& open_;
  std::shared_ptr<SessionStream> self_;
  v1::SessionRequest request_;
  v1::SessionResponse on_its_way_;
  bool greeted_ = false;

  std::mutex mutex_;
  std::string session_id_;
  std::deque<v1::SessionResponse> answers_;  ///< at most an answer and a goodbye
  std::optional<Status> end_;
  bool writing_ = false;
  bool read_next_ = false;
  bool finished_ = false;
};

void OpenSessions::add(const std::shared_ptr<SessionStream>& session) {
  std::lock_guard lock(mutex_);
  sessions_.push_back(session);
}

void OpenSessions::remove(const SessionStream* session) {
  std::lock_guard lock(mutex_);
  sessions_.remove_if([&](const std::weak_ptr<SessionStream>& entry) {
    const auto held = entry.lock();
    return !held || held.get() == session;
  });
}

std::list<std::shared_ptr<SessionStream>> OpenSessions::all() const {
  std::list<std::shared_ptr<SessionStream>> held;
  std::lock_guard lock(mutex_);
  for (const auto& entry : sessions_) {
    if (auto session = entry.lock()) held.push_back(std::move(session));
  }
  return held;
}

void OpenSessions::say_goodbye(const std::string& reason) {
  for (const auto& session : all()) session->say_goodbye(reason);
}

void OpenSessions::end_all(const Status& status) {
  for (const auto& session : all()) session->end(status);
}

grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* SessionsService::Attend(
    grpc::CallbackServerContext*) {
  const auto stream = std::make_shared<SessionStream>(api_, sessions_);
  stream->start();
  return stream.get();
}

}  // namespace luna::front
