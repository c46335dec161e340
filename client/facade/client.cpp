#include "client/include/luna/client/client.h"

#include "client/pipeline/generate_stage.h"

namespace luna::client {

Client::Client(std::shared_ptr<InferenceService> inference, std::shared_ptr<AdminService> admin,
               Connection connection)
    : inference_(std::move(inference)),
      admin_(std::move(admin)),
      connection_(std::move(connection)) {}

Client::~Client() = default;

Call<TokenizeReply> Client::tokenize(const CallOptions& options, TokenizeRequest request) {
  return Call<TokenizeReply>::start([&](Done<TokenizeReply> done) {
    return inference_->tokenize(options, std::move(request), std::move(done));
  });
}

Call<EncodeTextReply> Client::encode_text(const CallOptions& options, EncodeTextRequest request) {
  return Call<EncodeTextReply>::start([&](Done<EncodeTextReply> done) {
    return inference_->encode_text(options, std::move(request), std::move(done));
  });
}

Call<VaeEncodeReply> Client::vae_encode(const CallOptions& options, VaeEncodeRequest request) {
  return Call<VaeEncodeReply>::start([&](Done<VaeEncodeReply> done) {
    return inference_->vae_encode(options, std::move(request), std::move(done));
  });
}

Call<VaeDecodeReply> Client::vae_decode(const CallOptions& options, VaeDecodeRequest request) {
  return Call<VaeDecodeReply>::start([&](Done<VaeDecodeReply> done) {
    return inference_->vae_decode(options, std::move(request), std::move(done));
  });
}

Call<DenoiseReply> Client::denoise(const CallOptions& options, DenoiseRequest request) {
  return Call<DenoiseReply>::start([&](Done<DenoiseReply> done) {
    return inference_->denoise(options, std::move(request), std::move(done));
  });
}

Call<SampleReply> Client::sample(const CallOptions& options, SampleRequest request,
                                 std::function<void(const SampleProgress&)> on_progress) {
  if (!on_progress) on_progress = [](const SampleProgress&) {};
  return Call<SampleReply>::start([&](Done<SampleReply> done) {
    return inference_->sample(options, std::move(request), std::move(on_progress), std::move(done));
  });
}

Result<GenerateResult> Client::generate(const GenerateRequest& request,
                                        const OnGenerateProgress& on_progress, std::stop_token stop,
                                        Deadline deadline, Priority priority,
                                        OnPicture on_picture) {
  GenerateContext context;
  context.inference = inference_.get();
  context.admin = admin_.get();
  context.on_progress = on_progress;
  context.on_picture = std::move(on_picture);
  context.stop = std::move(stop);
  context.deadline = deadline;
  context.priority = priority;
  return run_generate(context, request);
}

}  // namespace luna::client
