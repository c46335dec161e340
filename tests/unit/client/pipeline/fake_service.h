#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/service/admin_service.h"
#include "client/service/inference_service.h"

namespace luna::client {

/// Both ports without a server. Answers are made up but depend on the request, so that a test sees
/// what reached which picture; every call is recorded. Answers come from threads of its own.
class FakeService : public InferenceService, public AdminService {
 public:
  ~FakeService() override {
    for (std::thread& thread : threads_) thread.join();
  }

  // What the fake shall do.
  std::map<std::string, Status>
      failures;               ///< by call: "encode_text:<text>", "vae_encode", "sample", ...
  bool sample_hangs = false;  ///< until cancelled
  std::function<void()> on_sample_begins;  ///< from the fake's thread
  int factor = 8;
  StatusInfo status_info;
  UnloadModelReply unload_reply;
  RestoreModelReply restore_reply;
  Models models;
  std::vector<ComponentInfo> components = {
      {Slot::kUNet, "sd1", "320 wide", 1, 1, "", 0, 0, "eps", false},
      {Slot::kVae, "autoencoder_kl", "", 1, 1, "", 0, 0, "", false},
      {Slot::kClipL, "clip_l", "", 1, 1, "", 0, 0, "", false}};

  // What it saw.
  std::mutex mutex;
  std::vector<std::pair<CallOptions, EncodeTextRequest>> encoded;
  std::vector<VaeEncodeRequest> vae_encoded;
  std::vector<std::pair<CallOptions, SampleRequest>> sampled;
  std::vector<VaeDecodeRequest> decoded;
  std::vector<std::pair<std::string, RequestedModels>> registered;
  std::vector<std::string> admin_calls;
  std::atomic<int> cancelled{0};

  std::shared_ptr<CallHandle> tokenize(const CallOptions&, TokenizeRequest request,
                                       Done<TokenizeReply> done) override {
    TokenizeReply reply;
    reply.chunks["l"] = {{Token{static_cast<std::int64_t>(request.text.size()), 1.0f, {}}}};
    return answer<TokenizeReply>("tokenize", std::move(done), std::move(reply));
  }

  std::shared_ptr<CallHandle> encode_text(const CallOptions& options, EncodeTextRequest request,
                                          Done<EncodeTextReply> done) override {
    EncodeTextReply reply;
    reply.cross_attn =
        tensor_of({1, 1, 1}, std::vector<float>{static_cast<float>(request.text.size())});
    const std::string name = "encode_text:" + request.text;
    if (request.text.find("embedding:") != std::string::npos)
      reply.warnings.push_back("no embedding");
    {
      const std::lock_guard lock(mutex);
      encoded.emplace_back(options, std::move(request));
    }
    return answer<EncodeTextReply>(name, std::move(done), std::move(reply));
  }

  std::shared_ptr<CallHandle> vae_encode(const CallOptions&, VaeEncodeRequest request,
                                         Done<VaeEncodeReply> done) override {
    const auto& shape = request.pixels.spec.shape;
    const std::vector<std::int64_t> latent = {1, 4, shape[1] / factor, shape[2] / factor};
    std::vector<float> values(static_cast<std::size_t>(4 * latent[2] * latent[3]), 0.5f);
    VaeEncodeReply reply{tensor_of(latent, values)};
    {
      const std::lock_guard lock(mutex);
      vae_encoded.push_back(std::move(request));
    }
    return answer<VaeEncodeReply>("vae_encode", std::move(done), std::move(reply));
  }

  /// A decoded picture is flat: its samples are the first value of the latent.
  std::shared_ptr<CallHandle> vae_decode(const CallOptions&, VaeDecodeRequest request,
                                         Done<VaeDecodeReply> done) override {
    const auto& shape = request.latent.spec.shape;
    const auto values = floats_of(request.latent);
    const std::int64_t height = shape[2] * factor;
    const std::int64_t width = shape[3] * factor;
    VaeDecodeReply reply;
    reply.pixels.spec = TensorSpec{DType::kU8, {1, height, width, 3}};
    reply.pixels.place =
        bytes_from(std::string(reply.pixels.spec.byte_size(), static_cast<char>(values->front())));
    {
      const std::lock_guard lock(mutex);
      decoded.push_back(std::move(request));
    }
    return answer<VaeDecodeReply>("vae_decode", std::move(done), std::move(reply));
  }

  std::shared_ptr<CallHandle> denoise(const CallOptions&, DenoiseRequest request,
                                      Done<DenoiseReply> done) override {
    DenoiseReply reply;
    for (const DenoiseRow& row : request.rows) reply.denoised.push_back(row.x);
    return answer<DenoiseReply>("denoise", std::move(done), std::move(reply));
  }

  /// A row's latent is filled with batch_index + 1.
  std::shared_ptr<CallHandle> sample(const CallOptions& options, SampleRequest request,
                                     std::function<void(const SampleProgress&)> progress,
                                     Done<SampleReply> done) override {
    SampleReply reply;
    for (const SampleRow& row : request.rows) {
      const std::vector<float> values(static_cast<std::size_t>(row.latent.spec.numel()),
                                      static_cast<float>(row.noise.batch_index + 1));
      reply.latents.push_back(tensor_of(row.latent.spec.shape, values));
    }
    reply.evaluations = 2 * request.rows.size();
    const int steps = request.run.steps;
    const int rows = static_cast<int>(request.rows.size());
    {
      const std::lock_guard lock(mutex);
      sampled.emplace_back(options, std::move(request));
    }
    auto handle = std::make_shared<Handle>(this);
    start([this, handle, steps, rows, progress, done = std::move(done), reply = std::move(reply)] {
      if (on_sample_begins) on_sample_begins();
      if (sample_hangs) {
        std::unique_lock lock(handle->mutex);
        handle->changed.wait(lock, [&] { return handle->cancelled; });
        return done(error(StatusCode::kCancelled, "the client cancelled"));
      }
      if (const auto found = failures.find("sample"); found != failures.end())
        return done(found->second);
      for (int step = 1; step <= steps; ++step) progress({step, steps, 1.0, rows, {}});
      done(reply);
    });
    return handle;
  }

  Result<WorkflowInfo> register_workflow(const std::string& id, const RequestedModels& wanted,
                                         std::uint32_t ttl, bool, Deadline) override {
    const std::lock_guard lock(mutex);
    registered.emplace_back(id, wanted);
    if (const auto found = failures.find("register"); found != failures.end()) return found->second;
    WorkflowInfo info;
    info.id = id;
    info.requested = wanted;
    info.components = components;
    info.ttl_seconds = ttl;
    return info;
  }
  Result<std::uint32_t> renew_workflow(const std::string& id) override {
    return note<std::uint32_t>("renew " + id, 60);
  }
  Status release_workflow(const std::string& id) override {
    return note<int>("release " + id, 0).status();
  }
  Result<std::vector<WorkflowInfo>> list_workflows() override {
    return note("list_workflows", status_info.workflows);
  }
  Result<Models> list_models(const std::string& folder) override {
    Models listed = models;
    if (!folder.empty()) {
      std::erase_if(listed.files, [&](const ModelFileInfo& file) { return file.folder != folder; });
    }
    return note("list_models " + folder, listed);
  }
  Result<std::vector<NamedTensor>> list_model_tensors(const std::string&) override {
    return error(StatusCode::kUnimplemented, "there are no files here");
  }
  Result<std::vector<ComponentInfo>> inspect_model(const std::string& file) override {
    return note("inspect " + file, components);
  }
  Result<LoadedModel> load_model(Slot slot, const ModelRef& model) override {
    LoadedModel loaded;
    loaded.info.slot = slot;
    loaded.paths = {model.path};
    loaded.device = "cpu";
    return note(fmt::format("load {} {}", slot_name(slot), model.path), loaded);
  }
  Result<UnloadModelReply> unload_model(const std::string& file, bool host) override {
    return note((host ? "unload with host copies " : "unload ") + file, unload_reply);
  }
  Result<UnloadModelReply> offload_model(const std::string& file,
                                         std::optional<Slot> slot) override {
    return note(fmt::format("offload {} {}", slot ? slot_name(*slot) : "all", file), unload_reply);
  }
  Result<RestoreModelReply> restore_model(const std::string& file) override {
    return note("restore " + file, restore_reply);
  }
  Result<std::string> pin_model(const std::string& file) override {
    return note<std::string>("pin " + file, "/models/" + file);
  }
  Result<std::string> upload_adapter(const std::string& path) override { return "sha256:" + path; }
  Result<std::string> unpin_model(const std::string& file) override {
    return note<std::string>("unpin " + file, "/models/" + file);
  }
  Result<client::WritableTensor> allocate(const TensorSpec&) override {
    return error(StatusCode::kUnimplemented, "no tensors are kept here");
  }
  Result<TensorRef> upload(const std::string&, const TensorRef& tensor) override { return tensor; }
  Result<TensorRef> download(const std::string&, const std::string& id) override {
    return error(StatusCode::kNotFound, "no tensor {}", id);
  }
  Result<std::uint64_t> free_tensors(const std::string&,
                                     const std::vector<std::string>& ids) override {
    return static_cast<std::uint64_t>(ids.size());
  }
  Result<StatusInfo> status() override { return note("status", status_info); }

 private:
  struct Handle : CallHandle {
    explicit Handle(FakeService* fake) : owner(fake) {}
    void cancel() override {
      const std::lock_guard lock(mutex);
      if (!cancelled) ++owner->cancelled;
      cancelled = true;
      changed.notify_all();
    }
    FakeService* owner;
    std::mutex mutex;
    std::condition_variable changed;
    bool cancelled = false;
  };

  template <class Reply>
  std::shared_ptr<CallHandle> answer(const std::string& name, Done<Reply> done, Reply reply) {
    auto handle = std::make_shared<Handle>(this);
    const auto failure = failures.find(name);
    Result<Reply> outcome =
        failure == failures.end() ? Result<Reply>(std::move(reply)) : failure->second;
    start([done = std::move(done), outcome = std::move(outcome)] { done(outcome); });
    return handle;
  }

  template <class Value>
  Result<Value> note(const std::string& call, Value value) {
    const std::lock_guard lock(mutex);
    admin_calls.push_back(call);
    const auto failure = failures.find(call);
    if (failure != failures.end()) return failure->second;
    return value;
  }

  void start(std::function<void()> work) {
    const std::lock_guard lock(threads_mutex_);
    threads_.emplace_back(std::move(work));
  }

  std::mutex threads_mutex_;
  std::vector<std::thread> threads_;
};

}  // namespace luna::client
