#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/types/job.h"

namespace luna::client {

/// How one call is made.
struct CallOptions {
  std::string workflow_id;
  Priority priority = Priority::kNormal;
  Deadline deadline;
};

/// Ends a running call from any thread; harmless afterwards. The call's done follows with
/// CANCELLED.
class CallHandle {
 public:
  virtual ~CallHandle() = default;
  virtual void cancel() = 0;
};

template <class Reply>
using Done = std::function<void(Result<Reply>)>;

/// The port the stages call: Luna's primitives, wherever they run. Every method returns at once;
/// `done` comes exactly once, from another thread. Thread-safe.
class InferenceService {
 public:
  virtual ~InferenceService() = default;
  virtual std::shared_ptr<CallHandle> tokenize(const CallOptions&, TokenizeRequest,
                                               Done<TokenizeReply>) = 0;
  virtual std::shared_ptr<CallHandle> encode_text(const CallOptions&, EncodeTextRequest,
                                                  Done<EncodeTextReply>) = 0;
  virtual std::shared_ptr<CallHandle> vae_encode(const CallOptions&, VaeEncodeRequest,
                                                 Done<VaeEncodeReply>) = 0;
  virtual std::shared_ptr<CallHandle> vae_decode(const CallOptions&, VaeDecodeRequest,
                                                 Done<VaeDecodeReply>) = 0;
  virtual std::shared_ptr<CallHandle> denoise(const CallOptions&, DenoiseRequest,
                                              Done<DenoiseReply>) = 0;
  virtual std::shared_ptr<CallHandle> sample(const CallOptions&, SampleRequest,
                                             std::function<void(const SampleProgress&)>,
                                             Done<SampleReply>) = 0;
};

}  // namespace luna::client
