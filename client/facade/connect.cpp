#include <cstdlib>

#include "client/facade/address.h"
#include "client/facade/private_daemon.h"
#include "client/include/luna/client/client.h"
#include "client/rpc/grpc_client.h"

namespace luna::client {
namespace {

/// Decides where to connect, and starts a private daemon when nothing else is there.
Result<Connection> find_daemon(const ClientOptions& options) {
  std::string address = options.address;
  if (address.empty()) {
    const char* named = std::getenv("LUNA_ADDRESS");
    if (named) address = named;
  }
  if (!address.empty()) {
    LUNA_RETURN_IF_ERROR(check_address(address));
    return Connection{address, false, {}};
  }
  for (const std::string& socket : user_sockets()) {
    if (socket_answers(socket)) return Connection{"unix:" + socket, false, {}};
  }
  const std::string private_socket = runtime_folder() + "/" + std::string(kPrivateSocket);
  if (socket_answers(private_socket)) return Connection{"unix:" + private_socket, false, {}};
  if (!options.start_daemon) {
    return error(StatusCode::kUnavailable,
                 "no daemon listens at {}: start lunad, or name one with --address",
                 user_sockets().front());
  }
  PrivateDaemonOptions daemon;
  daemon.program = options.daemon_program;
  daemon.folder = runtime_folder();
  daemon.start_timeout = options.start_timeout;
  daemon.answers = socket_answers;
  LUNA_ASSIGN_OR_RETURN(const PrivateDaemon found, ensure_private_daemon(daemon));
  return Connection{"unix:" + found.socket, found.started, found.log_file};
}

}  // namespace

Result<std::unique_ptr<Client>> Client::connect(const ClientOptions& options) {
  LUNA_ASSIGN_OR_RETURN(Connection connection, find_daemon(options));
  ConnectOptions to;
  to.address = connection.address;
  to.client_name = options.client_name;
  to.timeout = options.timeout;
  LUNA_ASSIGN_OR_RETURN(std::unique_ptr<GrpcClient> grpc, GrpcClient::connect(to));
  const std::shared_ptr<GrpcClient> shared = std::move(grpc);
  return std::make_unique<Client>(shared, shared, std::move(connection));
}

}  // namespace luna::client
