#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "daemon/front/api/api_context.h"
#include "luna/v1/session.grpc.pb.h"

namespace luna::front {

class SessionStream;

/// The session streams that are open, so that stopping can tell them.
class OpenSessions {
 public:
  void add(const std::shared_ptr<SessionStream>& session);
  void remove(const SessionStream* session);
  /// Tells every client that the daemon is stopping; the streams stay open.
  void say_goodbye(const std::string& reason);
  /// Ends every stream.
  void end_all(const Status& status);

 private:
  std::list<std::shared_ptr<SessionStream>> all() const;

  mutable std::mutex mutex_;
  std::list<std::weak_ptr<SessionStream>> sessions_;
};

/// luna.v1.Sessions. A session lives in the core from Hello until its stream ends, for whatever
/// reason.
class SessionsService final : public v1::Sessions::CallbackService {
 public:
  explicit SessionsService(ApiContext& api) : api_(api) {}

  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* Attend(
      grpc::CallbackServerContext*) override;
  OpenSessions& open_sessions() { return sessions_; }

 private:
  ApiContext& api_;
  OpenSessions sessions_;
};

}  // namespace luna::front
