#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "client/include/luna/client/call.h"
#include "client/include/luna/client/generate.h"
#include "client/service/admin_service.h"
#include "client/service/inference_service.h"

namespace luna::client {

struct ClientOptions {
  /// "unix:/path" or "host:port". Empty: $LUNA_ADDRESS; else this user's daemon
  /// ($XDG_RUNTIME_DIR/luna/lunad.sock, else /tmp/luna-<uid>/lunad.sock) when it answers; else a
  /// private one is started, which ends a minute after its last client.
  std::string address;
  std::string client_name = "libluna";  ///< shown in the daemon's status and log
  std::chrono::milliseconds timeout{5000};
  bool start_daemon = true;  ///< false: never start one; UNAVAILABLE instead
  /// Of a private daemon; empty: "lunad" beside this program, else in $PATH.
  std::string daemon_program;
  std::chrono::milliseconds start_timeout{30000};
};

/// How a client came to its daemon.
struct Connection {
  std::string address;
  bool started_daemon = false;  ///< this client started it
  std::string log_file;         ///< of a private daemon
};

/// A connection to Luna: the primitives, whole generations, and administration. Thread-safe; any
/// number of calls at once. Its end frees what it owned on the server and must come after the end
/// of its calls.
///
///     auto client = luna::client::Client::connect();
///     GenerateRequest request;
///     request.models.checkpoint = ModelRef{"v1-5.safetensors"};
///     request.prompt = "a lighthouse";
///     auto result = (*client)->generate(request);
///     // result->pictures[0] is a luna::Image; common/image/png.h writes it
class Client {
 public:
  /// UNAVAILABLE says what was tried and what to do.
  static Result<std::unique_ptr<Client>> connect(const ClientOptions& options = {});
  /// Over ports that exist: tests, other transports. Both are kept as long as this object.
  Client(std::shared_ptr<InferenceService> inference, std::shared_ptr<AdminService> admin,
         Connection connection = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Connection& connection() const { return connection_; }

  // The primitives. Each starts at once; Call::get() waits, so `client->tokenize(o, r).get()` is
  // the blocking form. CallOptions carry workflow, priority and deadline.
  Call<TokenizeReply> tokenize(const CallOptions& options, TokenizeRequest request);
  Call<EncodeTextReply> encode_text(const CallOptions& options, EncodeTextRequest request);
  Call<VaeEncodeReply> vae_encode(const CallOptions& options, VaeEncodeRequest request);
  Call<VaeDecodeReply> vae_decode(const CallOptions& options, VaeDecodeRequest request);
  Call<DenoiseReply> denoise(const CallOptions& options, DenoiseRequest request);
  Call<SampleReply> sample(const CallOptions& options, SampleRequest request,
                           std::function<void(const SampleProgress&)> on_progress = {});

  /// Blocks until the pictures are there. `stop` cancels on the server; the outcome is CANCELLED
  /// then. Errors name the stage ("sampling: ..."). With `on_picture` the pictures go there, each
  /// as soon as it is decoded, and the result has none.
  Result<GenerateResult> generate(const GenerateRequest& request,
                                  const OnGenerateProgress& on_progress = {},
                                  std::stop_token stop = {}, Deadline deadline = Deadline(),
                                  Priority priority = Priority::kNormal, OnPicture on_picture = {});

  /// Workflows, models, tensors and status (blocking).
  AdminService& admin() { return *admin_; }
  /// The port under the primitives, for stages of one's own.
  InferenceService& inference() { return *inference_; }

 private:
  std::shared_ptr<InferenceService> inference_;
  std::shared_ptr<AdminService> admin_;
  Connection connection_;
};

}  // namespace luna::client
