#pragma once

#include <future>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/rpc/grpc_client.h"
#include "daemon/front/api/server.h"
#include "daemon/front/local/local_server.h"
#include "tests/contract/service/fake_worker.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace luna {

/// The whole way but for the worker: GrpcClient, a unix socket, ApiServer, FrontCore, a worker that
/// is faked.
class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    config_.server.listen = "";
    config_.models.roots = {folder_.file("models")};
    folder_.write("models/checkpoints/full.safetensors", "full");
    folder_.write("models/loras/style.safetensors", "style");
  }
  ~ServiceTest() override {
    client_.reset();
    server_.reset();
    local_server_.reset();
    if (worker_) worker_->stop();
    core_.reset();
  }

  void start() {
    core_ = std::make_unique<front::FrontCore>(std::make_shared<const Config>(config_));
    core_->worker_starting(WorkerId{1}, "default", 1234);
    worker_ = std::make_shared<front::FakeWorker>(1);
    core_->worker_ready(worker_, "cpu");
    if (shared_memory_) {
      auto local = front::LocalServer::start(*core_, local_);
      ASSERT_TRUE(local.ok()) << local.status().to_string();
      local_server_ = std::move(*local);
    }
    auto server = front::ApiServer::start(*core_, config_, socket());
    ASSERT_TRUE(server.ok()) << server.status().to_string();
    server_ = std::move(*server);
    client_ = connect();
    ASSERT_NE(client_, nullptr);
    RequestedModels models;
    models.checkpoint = ModelRef{"full.safetensors", Precision::kAuto};
    const auto workflow = client_->register_workflow("w", models, 60, false);
    ASSERT_TRUE(workflow.ok()) << workflow.status().to_string();
  }

  std::string socket() const { return folder_.file("lunad.sock"); }
  std::string address() const { return "unix:" + socket(); }

  std::unique_ptr<client::GrpcClient> connect(const std::string& plane = {}) {
    client::ConnectOptions options;
    options.address = address();
    options.client_name = "contract test";
    options.plane = plane;
    auto client = client::GrpcClient::connect(options);
    if (client.ok()) return std::move(*client);
    ADD_FAILURE() << client.status().to_string();
    return nullptr;
  }

  static client::CallOptions in(std::string workflow) { return {std::move(workflow), {}, {}}; }

  /// Calls a method of InferenceService and waits for its answer.
  template <class Reply, class Request>
  Result<Reply> call(std::shared_ptr<client::CallHandle> (client::InferenceService::*method)(
                         const client::CallOptions&, Request, client::Done<Reply>),
                     Request request, client::CallOptions options = in("w")) {
    auto answer = std::make_shared<std::promise<Result<Reply>>>();
    auto future = answer->get_future();
    ((*client_).*method)(options, std::move(request),
                         [answer](Result<Reply> reply) { answer->set_value(std::move(reply)); });
    return wait(future);
  }

  /// A sample call under way.
  struct Sampling {
    std::shared_ptr<client::CallHandle> handle;
    std::future<Result<SampleReply>> future;
    std::shared_ptr<std::vector<SampleProgress>> progress =
        std::make_shared<std::vector<SampleProgress>>();
  };
  Sampling sample(SampleRequest request, client::GrpcClient* through = nullptr,
                  client::CallOptions options = in("w")) {
    Sampling sampling;
    auto answer = std::make_shared<std::promise<Result<SampleReply>>>();
    sampling.future = answer->get_future();
    sampling.handle =
        (through ? through : client_.get())
            ->sample(
                options, std::move(request),
                [steps = sampling.progress](const SampleProgress& progress) {
                  steps->push_back(progress);
                },
                [answer](Result<SampleReply> reply) { answer->set_value(std::move(reply)); });
    return sampling;
  }

  template <class T>
  static Result<T> wait(std::future<Result<T>>& future) {
    if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
      return error(StatusCode::kInternal, "the test waited 30 s in vain");
    }
    return future.get();
  }

  static SampleRequest one_row(std::uint64_t seed, int steps = 4) {
    SampleRequest request;
    request.run.steps = steps;
    SampleRow& row = request.rows.emplace_back();
    row.latent.spec = {DType::kF32, {4, 8, 8}};
    row.noise.seed = seed;
    ConditioningEntry entry;
    entry.cross_attn.spec = {DType::kF32, {1, 77, 8}};
    row.conditioning["positive"] = {entry};
    return request;
  }
  static TensorRef filled(std::vector<std::int64_t> shape, float value) {
    const TensorSpec spec{DType::kF32, shape};
    return tensor_of(shape, std::vector<float>(static_cast<std::size_t>(spec.numel()), value));
  }
  static float first(const TensorRef& tensor) {
    const auto values = floats_of(tensor);
    return values.ok() && !values->empty() ? values->front() : -1;
  }

  support::TempDir folder_;
  Config config_;
  bool shared_memory_ = false;  ///< serve the local socket too
  front::LocalServer::Options local_{.path = front::LocalServer::path_beside(socket())};
  std::shared_ptr<front::FakeWorker> worker_;
  std::unique_ptr<front::FrontCore> core_;
  std::unique_ptr<front::LocalServer> local_server_;
  std::unique_ptr<front::ApiServer> server_;
  std::unique_ptr<client::GrpcClient> client_;
};

}  // namespace luna
