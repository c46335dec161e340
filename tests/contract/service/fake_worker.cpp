#include "tests/contract/service/fake_worker.h"

#include <algorithm>
#include <filesystem>

#include "common/local/memory.h"
#include "common/types/request_tensors.h"
#include "daemon/front/core/plane_desk.h"

namespace luna::front {
namespace {

TensorRef floats(std::vector<std::int64_t> shape, float value) {
  TensorSpec spec{DType::kF32, shape};
  return tensor_of(shape, std::vector<float>(static_cast<std::size_t>(spec.numel()), value));
}

/// First value of a tensor, so that a test can see that its bytes arrived.
float first(const TensorRef& tensor) {
  const auto values = floats_of(tensor);
  return values.ok() && !values->empty() ? values->front() : 0;
}

std::vector<ComponentInfo> components() {
  std::vector<ComponentInfo> all;
  for (const Slot slot : {Slot::kUNet, Slot::kVae, Slot::kClipL}) {
    ComponentInfo info;
    info.slot = slot;
    info.family = "sd1";
    all.push_back(info);
  }
  return all;
}

/// As a worker hands large results over: in sealed memory.
Result<JobReply> in_shared_memory(Result<JobReply> result) {
  if (!result.ok()) return result;
  const Status sealed = for_each_tensor(*result, [](TensorRef& tensor, const std::string&) {
    const BytesPtr bytes = tensor.host_bytes();
    if (!bytes || bytes->view().size() <= PlaneDesk::kRegionBytes) return Status();
    Result<MemoryRegion> region = MemoryRegion::create("test-result", bytes->view().size());
    if (!region.ok()) return region.status();
    std::ranges::copy(bytes->view(), region->bytes().begin());
    Result<BytesPtr> finished = std::move(*region).finish();
    if (finished.ok()) tensor.place = *std::move(finished);
    return finished.status();
  });
  if (!sealed.ok()) return sealed;
  return result;
}

/// Memory of an outbox as a worker names it.
TensorRef outbox_piece(const std::string& device_uuid, std::uint64_t bytes) {
  return {{DType::kU8, {static_cast<std::int64_t>(bytes)}},
          CudaHandle{device_uuid, std::string(64, 'o'), 1 << 20, 512, std::string(64, 'e'), "41"}};
}

}  // namespace

FakeWorker::FakeWorker(std::uint64_t id) : id_{id}, thread_([this] { serve(); }) {}

FakeWorker::~FakeWorker() { stop(); }

void FakeWorker::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void FakeWorker::run(const Job& job, JobEvents events) {
  std::lock_guard lock(mutex_);
  last_.insert_or_assign(std::string(job_kind(job.request)), job);
  if (hold_ && std::holds_alternative<SampleRequest>(job.request)) {
    held_.emplace(job.id, Work{job, std::move(events)});
  } else {
    queue_.push_back({job, std::move(events)});
  }
  changed_.notify_all();
}

void FakeWorker::cancel(JobId job) {
  std::optional<Work> work;
  {
    std::lock_guard lock(mutex_);
    ++cancelled_;
    if (auto node = held_.extract(job)) work = std::move(node.mapped());
  }
  if (work) work->events.on_done(Status(StatusCode::kCancelled, "cancelled by the worker"));
}

void FakeWorker::release_leases(const std::vector<std::string>& lease_ids) {
  std::lock_guard lock(mutex_);
  released_.insert(released_.end(), lease_ids.begin(), lease_ids.end());
}

std::vector<std::string> FakeWorker::released() {
  std::lock_guard lock(mutex_);
  return released_;
}

void FakeWorker::hold_samples() {
  std::lock_guard lock(mutex_);
  hold_ = true;
}

void FakeWorker::release_samples() {
  std::lock_guard lock(mutex_);
  hold_ = false;
  for (auto& [id, work] : held_) queue_.push_back(std::move(work));
  held_.clear();
  changed_.notify_all();
}

int FakeWorker::held() {
  std::lock_guard lock(mutex_);
  return static_cast<int>(held_.size());
}

int FakeWorker::cancelled() {
  std::lock_guard lock(mutex_);
  return cancelled_;
}

void FakeWorker::set_result_bytes(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  result_bytes_ = bytes;
}

std::optional<Job> FakeWorker::last(std::string_view kind) {
  std::lock_guard lock(mutex_);
  const auto found = last_.find(std::string(kind));
  if (found == last_.end()) return std::nullopt;
  return found->second;
}

void FakeWorker::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work.events.on_done(in_shared_memory(answer(work)));
    lock.lock();
  }
}

Result<JobReply> FakeWorker::answer(const Work& work) {
  const JobRequest& request = work.job.request;
  if (const auto* tokenize = std::get_if<TokenizeRequest>(&request)) {
    TokenizeReply reply;
    Token token;
    token.id = static_cast<std::int64_t>(tokenize->text.size());
    token.weight = 1.2f;
    reply.chunks["l"] = {{token}};
    reply.warnings = {"no embedding 'x'"};
    return JobReply(reply);
  }
  if (const auto* encode = std::get_if<EncodeTextRequest>(&request)) {
    EncodeTextReply reply;
    reply.cross_attn = floats({1, 77, 8}, static_cast<float>(encode->text.size()));
    reply.pooled = floats({1, 8}, static_cast<float>(encode->clip_skip));
    return JobReply(reply);
  }
  if (const auto* encode = std::get_if<VaeEncodeRequest>(&request)) {
    return JobReply(VaeEncodeReply{floats({1, 4, 2, 2}, first(encode->pixels))});
  }
  if (const auto* decode = std::get_if<VaeDecodeRequest>(&request)) {
    std::size_t bytes = 0;
    {
      std::lock_guard lock(mutex_);
      bytes = result_bytes_;
    }
    if (bytes == 0) return JobReply(VaeDecodeReply{floats({1, 16, 16, 3}, first(decode->latent))});
    TensorRef pixels;
    pixels.spec.dtype = DType::kU8;
    pixels.spec.shape = {1, 1, static_cast<std::int64_t>(bytes / 3), 3};
    pixels.place = bytes_from(std::string(bytes, '\x07'));
    return JobReply(VaeDecodeReply{std::move(pixels)});
  }
  if (const auto* denoise = std::get_if<DenoiseRequest>(&request)) {
    DenoiseReply reply;
    for (const DenoiseRow& row : denoise->rows) {
      reply.denoised.push_back(floats(row.x.spec.shape, static_cast<float>(row.sigma)));
    }
    return JobReply(reply);
  }
  if (const auto* sample = std::get_if<SampleRequest>(&request)) {
    for (int step = 1; step <= sample->run.steps; ++step) {
      SampleProgress progress;
      progress.step = step;
      progress.steps = sample->run.steps;
      progress.sigma = 1.0 / step;
      progress.rows_in_batch = static_cast<int>(sample->rows.size());
      if (sample->previews.every_steps > 0 && step % sample->previews.every_steps == 0) {
        TensorRef& preview = progress.preview.emplace();
        preview.spec.dtype = DType::kU8;
        preview.spec.shape = {1, 1, 1, 3};
        preview.place = bytes_from("rgb");
      }
      work.events.on_progress(progress);
    }
    SampleReply reply;
    for (const SampleRow& row : sample->rows) {
      reply.latents.push_back(
          floats(row.latent.spec.shape, static_cast<float>(row.noise.seed) + first(row.latent)));
    }
    reply.sigmas = {1.0f, 0.0f};
    reply.evaluations = sample->rows.size() * static_cast<std::uint64_t>(sample->run.steps);
    return JobReply(reply);
  }
  if (const auto* inspect = std::get_if<InspectModelRequest>(&request)) {
    InspectModelReply reply{components()};
    if (inspect->tensors) reply.tensors = {{"conv_in.weight", {DType::kF16, {8, 4, 3, 3}}}};
    return JobReply(std::move(reply));
  }
  if (const auto* load = std::get_if<LoadModelRequest>(&request)) {
    LoadModelReply reply;
    reply.model.info.slot = load->slot;
    reply.model.paths = {load->model.path};
    reply.model.device = "cpu";
    return JobReply(reply);
  }
  if (const auto* lease = std::get_if<LeaseCudaRequest>(&request)) {
    return JobReply(LeaseCudaReply{outbox_piece(lease->device_uuid, lease->bytes)});
  }
  if (const auto* proof = std::get_if<ProveCudaRequest>(&request)) {
    const auto& theirs = std::get<CudaHandle>(proof->memory.place);
    return JobReply(
        ProveCudaReply{"read by worker", outbox_piece(theirs.device_uuid, 16), "written by it"});
  }
  LoadedModel model;
  model.info.slot = Slot::kUNet;
  model.info.content_hash = "hash";
  if (std::holds_alternative<RestoreModelRequest>(request)) {
    RestoreModelReply reply;
    reply.restored = {model};
    return JobReply(reply);
  }
  const auto& unload = std::get<UnloadModelRequest>(request);
  UnloadModelReply reply;
  reply.freed_bytes = 4096;
  model.tier = Tier::kFile;
  reply.unloaded = {model};
  model.tier = Tier::kDevice;
  model.info.slot = unload.slot.value_or(Slot::kVae);
  model.jobs = 2;
  reply.held = {model};
  return JobReply(reply);
}

}  // namespace luna::front
