#include "daemon/front/local/local_server.h"

#include <set>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unistd.h>

#include "common/local/errno_status.h"
#include "common/local/socket.h"
#include "common/log/log.h"
#include "daemon/front/core/plane_desk.h"
#include "daemon/front/local/local_connection.h"

namespace luna::front {
namespace {

/// Of common/local's frames on this socket.
constexpr std::uint16_t kVersion = 1;
/// Answers that a client does not read.
constexpr std::size_t kMaxQueuedBytes = std::size_t{4} << 20;
/// Where descriptors are short, accepting again at once would burn the processor.
constexpr std::chrono::milliseconds kAcceptPause{100};

Status check_peer(int fd) {
  LUNA_ASSIGN_OR_RETURN(const PeerCredentials peer, peer_credentials(fd));
  if (peer.uid == ::geteuid() || peer.uid == 0) return {};
  return error(StatusCode::kPermissionDenied,
               "this socket is for the daemon's user ({}) and root, not for user {}", ::geteuid(),
               peer.uid);
}

}  // namespace

class LocalServer::Impl {
 public:
  Impl(FrontCore& core, Options options, UniqueFd listener)
      : core_(core),
        options_(std::move(options)),
        acceptor_(io_, boost::asio::local::stream_protocol(), listener.release()),
        pause_(io_) {
    acceptor_.non_blocking(true);
    accept_when_ready();
    thread_ = std::thread([this] { io_.run(); });
    core_.planes().serve(options_.path);
  }

  ~Impl() {
    core_.planes().stop("the daemon's local socket is closed");
    ::unlink(options_.path.c_str());
    boost::asio::post(io_, [this] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      for (const auto& connection : std::set(connections_)) {
        connection->close(Status(StatusCode::kUnavailable, "lunad has stopped"));
      }
    });
    thread_.join();
  }

 private:
  void accept_when_ready() {
    acceptor_.async_wait(boost::asio::socket_base::wait_read,
                         [this](const boost::system::error_code& cancelled) {
                           if (!cancelled) accept();
                         });
  }

  void accept() {
    Result<UniqueFd> fd =
        accept_unix(acceptor_.native_handle(), Deadline::after(Deadline::Clock::duration::zero()));
    if (fd.ok()) {
      open(*std::move(fd));
    } else if (fd.status().code() == StatusCode::kResourceExhausted) {
      log::logger("local").warn("{}", fd.status().message());
      pause_.expires_after(kAcceptPause);
      return pause_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) accept_when_ready();
      });
    }
    accept_when_ready();
  }

  void open(UniqueFd fd) {
    Status welcome = check_peer(fd.get());
    if (welcome.ok() && connections_.size() >= options_.max_sessions + kMaxStrangers) {
      welcome = error(StatusCode::kResourceExhausted, "{} connections to the local socket are open",
                      connections_.size());
    }
    const auto socket = ipc::FrameSocket::adopt(io_, std::move(fd),
                                                {.version = kVersion,
                                                 .limits = LocalConnection::frame_limits(),
                                                 .max_queued_bytes = kMaxQueuedBytes});
    const auto connection =
        std::make_shared<LocalConnection>(socket, core_.planes(), options_.steps);
    if (!welcome.ok()) {
      log::logger("local").warn("{}", welcome.message());
      return connection->refuse(welcome);
    }
    connections_.insert(connection);
    connection->start(options_.introduction_time, [this, weak = std::weak_ptr(connection)] {
      if (const auto held = weak.lock()) connections_.erase(held);
    });
  }

  FrontCore& core_;
  const Options options_;
  boost::asio::io_context io_{1};
  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::set<std::shared_ptr<LocalConnection>> connections_;
  std::thread thread_;
};

Result<std::unique_ptr<LocalServer>> LocalServer::start(FrontCore& core, const Options& options) {
  LUNA_ASSIGN_OR_RETURN(UniqueFd listener, listen_unix(options.path, 0600));
  return std::unique_ptr<LocalServer>(
      new LocalServer(std::make_unique<Impl>(core, options, std::move(listener))));
}

LocalServer::LocalServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalServer::~LocalServer() = default;

}  // namespace luna::front
