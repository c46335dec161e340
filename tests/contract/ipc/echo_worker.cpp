#include "tests/contract/ipc/echo_worker.h"

#include <algorithm>
#include <iterator>
#include <set>

#include <boost/asio/io_context.hpp>

#include "daemon/ipc/session/front_link.h"

namespace luna::ipc {
namespace {

TensorRef any_tensor() {
  const float value = 1.0f;
  return tensor_of({1}, {&value, 1});
}

struct Echo {
  JobReply operator()(const TokenizeRequest& request) { return TokenizeReply{{}, {request.text}}; }
  JobReply operator()(const EncodeTextRequest& request) {
    return EncodeTextReply{any_tensor(), any_tensor(), {request.text}};
  }
  JobReply operator()(const VaeEncodeRequest& request) { return VaeEncodeReply{request.pixels}; }
  JobReply operator()(const VaeDecodeRequest& request) { return VaeDecodeReply{request.latent}; }
  JobReply operator()(const DenoiseRequest& request) {
    DenoiseReply reply;
    for (const DenoiseRow& row : request.rows) reply.denoised.push_back(row.x);
    return reply;
  }
  JobReply operator()(const SampleRequest& request) {
    SampleReply reply;
    for (const SampleRow& row : request.rows) reply.latents.push_back(row.latent);
    return reply;
  }
  JobReply operator()(const InspectModelRequest& request) {
    InspectModelReply reply;
    reply.components.emplace_back().family = request.path;
    return reply;
  }
  JobReply operator()(const LoadModelRequest& request) {
    LoadModelReply reply;
    reply.model.paths = {request.model.path};
    return reply;
  }
  JobReply operator()(const UnloadModelRequest& request) {
    UnloadModelReply reply;
    reply.freed_bytes = request.path.size();
    return reply;
  }
  JobReply operator()(const RestoreModelRequest& request) {
    RestoreModelReply reply;
    reply.restored.emplace_back().paths = {request.path};
    return reply;
  }
  JobReply operator()(const LeaseCudaRequest&) { return LeaseCudaReply{any_tensor()}; }
  JobReply operator()(const ProveCudaRequest& request) {
    return ProveCudaReply{"nonce", request.memory, "expected"};
  }
};

class EchoWorker {
 public:
  EchoWorker(boost::asio::io_context& io, UniqueFd fd, LinkOptions options,
             std::function<void()> die)
      : die_(std::move(die)) {
    link_ = FrontLink::adopt(
        io, fd.release(),
        {[this](WorkerId id, const WorkerSettings& settings) { on_welcome(id, settings); },
         [this](const Job& job) { on_run(job); }, [this](JobId job) { on_cancel(job); },
         [this] { on_drain(); },
         [this](std::vector<std::string> paths) { pins_ = std::move(paths); },
         [this](const Status& status) { closed_ = status; },
         [this](std::vector<std::string> ids) {
           std::ranges::copy(ids, std::back_inserter(ended_));
         },
         [this](std::string session) { ended_.push_back("session " + session); }},
        options);
  }
  const Status& closed() const { return closed_; }

 private:
  void on_welcome(WorkerId id, const WorkerSettings& settings) {
    link_->send_ready({}, fmt::format("echo {} on {}", id.value, settings.device));
    report_.device = settings.device;
    link_->send_heartbeat(report_);
  }
  void on_run(const Job& job) {
    if (const auto* order = std::get_if<TokenizeRequest>(&job.request)) {
      if (order->text == "hang") return void(hanging_.insert(job.id));
      if (order->text == "deaf") return;
      if (order->text == "die") return die_();
      if (order->text == "seek") return seek(job.id);
      if (order->text == "pins")
        return link_->send_done(job.id, JobReply(TokenizeReply{{}, pins_}));
      if (order->text == "ended")
        return link_->send_done(job.id, JobReply(TokenizeReply{{}, ended_}));
      if (order->text == "fail to read")
        link_->tell_read_failed({{"/models/unreadable"}, Slot::kVae});
      if (order->text == "offer")
        link_->offer_weights({{"/models/offered"}, Slot::kVae}, weights());
    }
    if (const auto* sample = std::get_if<SampleRequest>(&job.request)) {
      for (int step = 1; step <= sample->run.steps; ++step) {
        link_->send_progress(job.id, {step, sample->run.steps, 1.0 / step, 1, std::nullopt});
      }
    }
    ++report_.jobs_done;
    link_->send_done(job.id, std::visit(Echo(), job.request));
  }
  void seek(JobId job) {
    link_->seek_weights({{"/models/sought"}, Slot::kUNet},
                        [this, job](std::optional<HostWeights> found) {
                          TokenizeReply reply;
                          reply.warnings = {found ? found->content_hash : "none"};
                          link_->send_done(job, JobReply(std::move(reply)));
                        });
  }
  static HostWeights weights() {
    const std::vector<float> values(100'000, 0.5f);
    const TensorRef tensor = tensor_of({100'000}, values);
    return {"hash", {{"w", tensor.spec, 0}}, {{"key", "value"}}, tensor.host_bytes()};
  }
  void on_cancel(JobId job) {
    if (hanging_.erase(job) == 0) return;
    ++report_.jobs_cancelled;
    link_->send_heartbeat(report_);
    link_->send_done(job, Status(StatusCode::kCancelled, "stopped between two steps"));
  }
  void on_drain() {
    link_->send_heartbeat(report_);
    link_->close_when_flushed();
  }

  std::function<void()> die_;
  std::shared_ptr<FrontLink> link_;
  std::set<JobId> hanging_;
  std::vector<std::string> pins_;
  std::vector<std::string> ended_;  ///< leases and sessions, as they came
  WorkerReport report_;
  Status closed_;
};

}  // namespace

Status serve_as_echo_worker(UniqueFd fd, LinkOptions options, std::function<void()> die) {
  boost::asio::io_context io(1);
  EchoWorker worker(io, std::move(fd), options, std::move(die));
  io.run();
  return worker.closed();
}

}  // namespace luna::ipc
