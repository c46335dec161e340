// Bad input is answered with a sentence that names what was expected and what was found, and the
// daemon lives on.
#include <filesystem>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"
#include "tests/support/safetensors_writer.h"

namespace luna::support {
namespace {

using ::testing::HasSubstr;

/// One daemon for all these tests: after each of them it still serves a good request.
class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<ModelFolder>();
    folder_->add_checkpoint("good.safetensors", 1);
    DaemonProcess::Options options;
    options.tcp = true;
    daemon_ = DaemonProcess::start(folder_->path(), options);
    client_ = daemon_->connect();
    ASSERT_TRUE(client_);
    workflow_ = std::make_unique<Workflow>(register_workflow(*client_, "good", "good.safetensors"));
    worker_pids_ = daemon_->worker_pids();
  }
  static void TearDownTestSuite() {
    workflow_.reset();
    client_.reset();
    daemon_.reset();
    folder_.reset();
  }

  void SetUp() override {
    auto request = workflow_->request("a red square", "", 1);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request_ = *request;
    request_.run.steps = 2;
  }
  void TearDown() override {
    auto request = workflow_->request("still here", "", 1);
    ASSERT_TRUE(request.ok()) << request.status().to_string();
    request->run.steps = 2;
    EXPECT_TRUE(workflow_->sample(*request).ok());
    EXPECT_EQ(daemon_->worker_pids(), worker_pids_) << "the worker died of it";
  }

  Status refused(SampleRequest request) {
    auto reply = workflow_->sample(std::move(request));
    EXPECT_FALSE(reply.ok());
    return reply.status();
  }
  Status refused_file(const std::string& name) {
    RequestedModels models;
    models.checkpoint = ModelRef{name, Precision::kF32};
    auto registered = client_->register_workflow("bad", models, 0, false);
    EXPECT_FALSE(registered.ok());
    return registered.status();
  }
  std::string checkpoint_path(const std::string& name) const {
    return (folder_->models() / "checkpoints" / name).string();
  }

  static std::unique_ptr<ModelFolder> folder_;
  static std::unique_ptr<DaemonProcess> daemon_;
  static std::unique_ptr<client::GrpcClient> client_;
  static std::unique_ptr<Workflow> workflow_;
  static std::vector<pid_t> worker_pids_;
  SampleRequest request_;
};
std::unique_ptr<ModelFolder> BadInput::folder_;
std::unique_ptr<DaemonProcess> BadInput::daemon_;
std::unique_ptr<client::GrpcClient> BadInput::client_;
std::unique_ptr<Workflow> BadInput::workflow_;
std::vector<pid_t> BadInput::worker_pids_;

TEST_F(BadInput, ATruncatedCheckpointIsNamedWithItsSizes) {
  const std::string good = read_file(checkpoint_path("good.safetensors"));
  std::ofstream(checkpoint_path("short.safetensors"), std::ios::binary)
      << good.substr(0, good.size() / 2);
  const Status status = refused_file("short.safetensors");
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr("short.safetensors"));
}

TEST_F(BadInput, ALyingHeaderIsRefused) {
  std::ofstream(checkpoint_path("lying.safetensors"), std::ios::binary) << raw_safetensors(
      R"({"a":{"dtype":"F32","shape":[4,4],"data_offsets":[0,9999]}})", std::string(64, 'x'));
  const Status status = refused_file("lying.safetensors");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("lying.safetensors"));
}

TEST_F(BadInput, ACheckpointOfUnknownFamilySaysWhatWasLookedFor) {
  SafetensorsWriter writer;
  writer.add("some.tensor", {2, 2}, {1, 2, 3, 4});
  writer.write(checkpoint_path("unknown.safetensors"));
  const Status status = refused_file("unknown.safetensors");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("some.tensor"));
}

TEST_F(BadInput, AFileThatIsNotThereSaysWhereWasLooked) {
  const Status status = refused_file("godo.safetensors");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("good.safetensors")) << "the nearest name helps";
}

TEST_F(BadInput, OverTcpAFileOutsideTheRootsIsRefused) {
  auto remote = daemon_->connect(daemon_->tcp_address());
  ASSERT_TRUE(remote);
  for (const char* path : {"/etc/passwd", "../../../../etc/passwd"}) {
    RequestedModels models;
    models.checkpoint = ModelRef{path, Precision::kF32};
    auto registered = remote->register_workflow("remote", models, 0, false);
    ASSERT_FALSE(registered.ok());
    EXPECT_THAT(registered.status().code(),
                ::testing::AnyOf(StatusCode::kPermissionDenied, StatusCode::kNotFound))
        << registered.status().to_string();
  }
}

TEST_F(BadInput, APromptOfOneMegabyteIsRefusedWithTheLimit) {
  auto reply = workflow_->encode(std::string(1 << 20, 'a'));
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(reply.status().message(), HasSubstr("65536"));
}

TEST_F(BadInput, NanLatentsAreRefusedByName) {
  std::vector<float> values(4 * 8 * 8, std::numeric_limits<float>::quiet_NaN());
  request_.rows[0].latent = tensor_of({4, 8, 8}, values);
  const Status status = refused(request_);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr("latent"));
}

TEST_F(BadInput, AnUnknownWorkflowIsNotFound) {
  Workflow stranger(*client_, "stranger");
  auto reply = stranger.encode("a");
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(reply.status().message(), HasSubstr("stranger"));
}

TEST_F(BadInput, WrongShapesNameExpectedAndFound) {
  request_.rows[0].latent.spec.shape = {3, 8, 8};
  const Status channels = refused(request_);
  EXPECT_EQ(channels.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(channels.message(), HasSubstr("4"));
  EXPECT_THAT(channels.message(), HasSubstr("3"));

  request_.rows[0].latent.spec.shape = {4, 8, 8};
  request_.rows[0].conditioning["positive"][0].cross_attn =
      tensor_of({1, 2, 3}, std::vector<float>(6));
  const Status context = refused(request_);
  EXPECT_EQ(context.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(context.message(), HasSubstr("64"));
}

TEST_F(BadInput, AbsurdSizesAreRefusedBeforeAnythingIsAllocated) {
  request_.rows[0].latent.spec.shape = {4, 1 << 20, 1 << 20};
  EXPECT_EQ(refused(request_).code(), StatusCode::kInvalidArgument);
  request_.rows[0].latent.spec.shape = {4, -8, 8};
  EXPECT_EQ(refused(request_).code(), StatusCode::kInvalidArgument);
  request_.rows[0].latent.spec.shape = {4, 8, 8};
  request_.run.steps = 2000000000;
  EXPECT_EQ(refused(request_).code(), StatusCode::kInvalidArgument);
}

TEST_F(BadInput, AnUnknownSamplerOrSchedulerNamesTheNearest) {
  request_.run.sampler = "eulre";
  EXPECT_THAT(refused(request_).message(), HasSubstr("euler"));
  request_.run.sampler = "euler";
  request_.run.scheduler = "karas";
  EXPECT_THAT(refused(request_).message(), HasSubstr("karras"));
}

TEST_F(BadInput, FieldsThatAreNotServedYetAreNamedNotIgnored) {
  request_.rows[0].conditioning["middle"] = request_.rows[0].conditioning["positive"];
  const Status status = refused(request_);
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("found 'middle'"));
}

TEST_F(BadInput, ALoraThatIsNotThereOrIsNoneIsNamed) {
  request_.rows[0].loras = {{"some.safetensors", 1, 1}};
  const Status absent = refused(request_);
  EXPECT_EQ(absent.code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.message(), testing::AllOf(HasSubstr("lora"), HasSubstr("some.safetensors")));
  std::filesystem::create_directories(folder_->models() / "loras");
  std::filesystem::copy_file(folder_->models() / "checkpoints/good.safetensors",
                             folder_->models() / "loras/checkpoint.safetensors");
  request_.rows[0].loras = {{"checkpoint.safetensors", 1, 1}};
  EXPECT_THAT(refused(request_).message(), HasSubstr("is an adapter's"));
}

TEST_F(BadInput, ADeadlineInThePastIsAnsweredAtOnce) {
  Workflow late = *workflow_;
  late.options().deadline = Deadline::after(std::chrono::nanoseconds(-1));
  auto reply = late.sample(request_);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.status().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(BadInput, ADeadlineInTheMiddleStopsTheRun) {
  request_.run.steps = 10000;
  Workflow late = *workflow_;
  late.options().deadline = Deadline::after(std::chrono::milliseconds(300));
  auto reply = late.sample(request_);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(wait_until([&] { return daemon_->status().jobs.running == 0; }));
}

}  // namespace
}  // namespace luna::support
