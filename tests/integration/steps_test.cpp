// Single evaluations straight to a worker: the same bits as over gRPC, and nothing is lost when
// somebody dies or changes something.
#include <atomic>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"
#include "tests/support/deterministic.h"

namespace luna::support {
namespace {

TensorRef made_up(const std::string& name, std::vector<std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return tensor_of(std::move(shape), uniform_values(name, count));
}

DenoiseRequest evaluation(double sigma, int rows = 1) {
  static const TensorRef context = made_up("context", {1, 77, 64});
  DenoiseRequest request;
  for (int i = 0; i < rows; ++i) {
    DenoiseRow row;
    row.x = made_up("x" + std::to_string(i), {4, 16, 16});
    row.sigma = sigma;
    row.conditioning.cross_attn = context;
    request.rows.push_back(std::move(row));
  }
  return request;
}

class Steps : public testing::Test {
 protected:
  static constexpr const char* kHeartbeats = "[supervision]\nheartbeat_ms = 50\n";

  void SetUp() override {
    folder_.add_checkpoint("tiny.safetensors", 1);
    folder_.add_checkpoint("other.safetensors", 2);
    daemon_ = DaemonProcess::start(folder_.path(), {.extra_toml = kHeartbeats});
    client_ = connect("");
    over_grpc_ = connect("inline");
    ASSERT_TRUE(client_ && over_grpc_);
    ASSERT_EQ(client_->plane(), "shm") << client_->why_inline();
    register_workflow(*client_, "steps", "tiny.safetensors");
  }
  std::unique_ptr<client::GrpcClient> connect(const std::string& plane) {
    auto client = client::GrpcClient::connect({.address = daemon_->address(), .plane = plane});
    EXPECT_TRUE(client.ok()) << client.status().to_string();
    return client.ok() ? *std::move(client) : nullptr;
  }
  static Result<DenoiseReply> denoise(client::GrpcClient& client, DenoiseRequest request) {
    Answer<DenoiseReply> answer;
    client::CallOptions options;
    options.workflow_id = "steps";
    client.denoise(options, std::move(request), answer.done());
    return answer.wait();
  }
  std::vector<float> x0(client::GrpcClient& client, const DenoiseRequest& request) {
    const auto reply = denoise(client, request);
    EXPECT_TRUE(reply.ok()) << reply.status().to_string() << "\n" << daemon_->log();
    std::vector<float> all;
    if (!reply.ok()) return all;
    for (const TensorRef& row : reply->denoised) {
      const auto values = floats_of(row).value();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }
  bool counted(std::uint64_t evaluations, std::uint32_t sockets) {
    return wait_until([&] {
      const StatusInfo status = daemon_->status();
      return status.step_evaluations == evaluations && status.step_sockets == sockets;
    });
  }

  ModelFolder folder_;
  std::unique_ptr<DaemonProcess> daemon_;
  std::unique_ptr<client::GrpcClient> client_, over_grpc_;
};

TEST_F(Steps, GiveTheSameBitsAsOverGrpc) {
  for (const double sigma : {14.0, 3.0, 0.5}) {
    const DenoiseRequest request = evaluation(sigma, sigma == 3.0 ? 3 : 1);
    EXPECT_EQ(x0(*client_, request), x0(*over_grpc_, request)) << "sigma " << sigma;
  }
  EXPECT_TRUE(counted(3, 1));
  EXPECT_EQ(daemon_->status().jobs.failed, 0u);
}

TEST_F(Steps, FailAsOverGrpcAndGoOn) {
  DenoiseRequest wide = evaluation(1);
  wide.rows[0].conditioning.cross_attn = made_up("wide", {1, 77, 65});
  DenoiseRequest nan = evaluation(1);
  nan.rows[0].x = tensor_of({4, 16, 16}, std::vector<float>(1024, NAN));
  DenoiseRequest extra = evaluation(1);
  extra.rows[0].extras["control"] = made_up("c", {1, 4});
  for (const DenoiseRequest& bad : {wide, nan, extra}) {
    const Status direct = denoise(*client_, bad).status();
    const Status called = denoise(*over_grpc_, bad).status();
    EXPECT_FALSE(direct.ok());
    EXPECT_EQ(direct.code(), called.code()) << direct.to_string() << "\n" << called.to_string();
    EXPECT_EQ(direct.message(), called.message());
  }
  EXPECT_EQ(x0(*client_, evaluation(2)), x0(*over_grpc_, evaluation(2)));
  EXPECT_TRUE(counted(1, 1));
}

TEST_F(Steps, GoOnWhenTheWorkerIsKilled) {
  const std::vector<float> expected = x0(*client_, evaluation(2));
  std::atomic<bool> stop = false;
  std::atomic<int> steps = 0, wrong = 0;
  std::thread stepping([&] {
    while (!stop) {
      wrong += x0(*client_, evaluation(2)) != expected;
      ++steps;
    }
  });
  for (int kills = 0; kills < 2; ++kills) {
    const int before = steps;
    ASSERT_TRUE(wait_until([&] { return steps > before + 5; }, std::chrono::seconds(60)));
    for (const pid_t worker : daemon_->worker_pids()) kill(worker, SIGKILL);
  }
  const int before = steps;
  EXPECT_TRUE(wait_until([&] { return steps > before + 5; }, std::chrono::seconds(60)));
  stop = true;
  stepping.join();
  EXPECT_EQ(wrong, 0) << daemon_->log();
}

TEST_F(Steps, UseTheSetThatTheWorkflowHasNow) {
  const std::vector<float> first = x0(*client_, evaluation(2));
  register_workflow(*over_grpc_, "steps", "other.safetensors");
  const std::vector<float> second = x0(*client_, evaluation(2));
  EXPECT_NE(second, first);
  EXPECT_EQ(second, x0(*over_grpc_, evaluation(2)));
  register_workflow(*over_grpc_, "steps", "tiny.safetensors");
  EXPECT_EQ(x0(*client_, evaluation(2)), first);
  ASSERT_TRUE(over_grpc_->release_workflow("steps").ok());
  EXPECT_EQ(denoise(*client_, evaluation(2)).status().code(), StatusCode::kNotFound);
}

TEST_F(Steps, OfAClientThatIsGoneLeaveNothingBehind) {
  const auto stands = [&](std::uint32_t sockets, std::uint32_t sessions) {
    return wait_until([&] {
      const StatusInfo status = daemon_->status();
      std::uint64_t conditioning = 0;
      for (const WorkerInfo& worker : status.workers) {
        const auto found = worker.report.memory.find("conditioning");
        if (found != worker.report.memory.end()) conditioning += found->second;
      }
      return status.step_sockets == sockets && status.sessions >= sessions &&
             (conditioning > 0) == (sockets > 0);
    });
  };
  auto client = connect("");
  for (int i = 0; i < 4; ++i) x0(*client, evaluation(2));
  EXPECT_TRUE(stands(1, 3)) << "with a conditioning that is kept ready";
  client.reset();
  EXPECT_TRUE(stands(0, 2));
}

TEST_F(Steps, ShareForwardsWithEachOtherAndWithTrajectories) {
  auto other = connect("");
  x0(*client_, evaluation(2));  // opens the sockets
  x0(*other, evaluation(2));
  const auto shared_forwards = [&] {
    std::uint64_t shared = 0;
    for (const WorkerInfo& worker : daemon_->status().workers) {
      const auto found = worker.report.forwards.find("unet");
      if (found == worker.report.forwards.end()) continue;
      for (const auto& [rows, count] : found->second.batch_sizes)
        if (rows >= 4) shared += count;  // both signs of a trajectory's row, and each client's
    }
    return shared;
  };
  const auto forwards_by_rows = [&] {
    std::string text;
    for (const WorkerInfo& worker : daemon_->status().workers) {
      for (const auto& [rows, count] : worker.report.forwards.at("unet").batch_sizes)
        text += fmt::format("{} forwards of {} rows\n", count, rows);
    }
    return text;
  };
  Workflow workflow(*over_grpc_, "steps");
  SampleRequest trajectory;
  trajectory.run.steps = 100;
  SampleRow row;
  row.latent.spec = {DType::kF32, {4, 16, 16}};
  for (const char* sign : {"positive", "negative"}) {
    ConditioningEntry entry;
    entry.cross_attn = made_up(sign, {1, 77, 64});
    row.conditioning[sign] = {entry};
  }
  trajectory.rows = {row};
  // Nobody waits for company on purpose, so that a trajectory may happen to meet no other row.
  for (int attempt = 0; attempt < 5 && shared_forwards() == 0; ++attempt) {
    auto whole = workflow.start(trajectory);
    std::thread second([&] {
      while (!whole.arrived()) x0(*other, evaluation(2));
    });
    while (!whole.arrived()) x0(*client_, evaluation(2));
    second.join();
    ASSERT_TRUE(whole.wait().ok());
    wait_until([&] { return shared_forwards() > 0; }, std::chrono::seconds(2));
  }
  EXPECT_GT(shared_forwards(), 0u) << forwards_by_rows();
}

TEST_F(Steps, ThatAreCancelledOrLateEndAndTheNextOneWorks) {
  client::CallOptions options;
  options.workflow_id = "steps";
  options.deadline = Deadline::after(std::chrono::microseconds(1));
  Answer<DenoiseReply> late;
  client_->denoise(options, evaluation(2), late.done());
  EXPECT_EQ(late.wait().status().code(), StatusCode::kDeadlineExceeded);
  options.deadline = {};
  for (int i = 0; i < 5; ++i) {
    Answer<DenoiseReply> answer;
    auto call = client_->denoise(options, evaluation(2, 16), answer.done());
    call->cancel();
    const auto reply = answer.wait();
    EXPECT_TRUE(reply.ok() || reply.status().code() == StatusCode::kCancelled)
        << reply.status().to_string();
  }
  EXPECT_EQ(x0(*client_, evaluation(2)), x0(*over_grpc_, evaluation(2)));
}

}  // namespace
}  // namespace luna::support
