#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "daemon/front/core/clock.h"

namespace luna::front {

/// Which session has the plane "shm", and why the others have it not. A session is offered the
/// local socket with a token when it says that it is on this host; who comes there with the token
/// speaks for the session; once both have read each other's number, it has the plane. Not
/// thread-safe.
class SessionPlanes {
 public:
  /// A client that was offered the local socket and has not come after so long has fallen back.
  static constexpr std::chrono::seconds kTimeToCome{10};

  /// `own_host`: luna::host_id() of this machine.
  explicit SessionPlanes(std::string own_host) : own_host_(std::move(own_host)) {}

  void serve(std::string socket_path);
  /// No session is offered the socket from now on.
  void stop(std::string why);

  /// A session that was just opened. `host_id`: what its client gives for its own.
  void begin(const std::string& session, std::string client, const std::string& host_id,
             TimePoint now);
  struct Offer {
    std::string path, token;
  };
  /// Nullopt: it gets "inline" alone, and reason() says why.
  std::optional<Offer> offer(const std::string& session) const;
  /// The session whose token this is; the token is spent. `on_end` is what end() returns.
  /// PERMISSION_DENIED for a token that no session waits with.
  Result<std::string> claim(const std::string& token, std::function<void()> on_end);
  /// NOT_FOUND when the session has ended.
  Status prove(const std::string& session);
  /// It has the plane no longer, or will not get it.
  void lose(const std::string& session, std::string why);
  struct Ended {
    std::function<void()> on_end;  ///< null when nobody came to the local socket
    std::string fallback;          ///< as fallbacks(), if nobody was told
  };
  Ended end(const std::string& session);

  bool has_shm(const std::string& session) const;
  std::vector<std::string> planes(const std::string& session) const;
  /// "" for a session with the plane.
  std::string reason(const std::string& session) const;
  TimePoint opened(const std::string& session) const;
  /// A sentence for each session that has fallen back and was not told of yet.
  std::vector<std::string> fallbacks(TimePoint now);

 private:
  enum class State { kInline, kOffered, kClaimed, kProved };
  struct Plane {
    std::string client;
    TimePoint opened;
    State state = State::kInline;
    std::string token;
    std::string why;
    bool told = false;
    std::function<void()> on_end;
  };
  const Plane* find(const std::string& session) const;
  static std::string fallback_of(const Plane& plane);

  const std::string own_host_;
  std::string path_;
  std::string why_not_ = "this daemon serves no local socket";
  std::map<std::string, Plane> planes_;          ///< by session
  std::map<std::string, std::string> by_token_;  ///< offered ones
};

}  // namespace luna::front
