// What other clients may do: bare gRPC against the server.
#include <filesystem>

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "luna/v1/adapters.grpc.pb.h"
#include "luna/v1/primitives.grpc.pb.h"
#include "luna/v1/session.grpc.pb.h"
#include "luna/v1/status.grpc.pb.h"
#include "luna/v1/tensor.grpc.pb.h"
#include "tests/contract/service/bare_calls.h"
#include "tests/contract/service/service_fixture.h"

namespace luna {
namespace {

using testing::HasSubstr;

class WireTest : public ServiceTest {
 protected:
  std::shared_ptr<grpc::Channel> channel() {
    return grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
  }
  using Metadata = std::vector<std::pair<std::string, std::string>>;
  grpc::Status tokenize(const Metadata& metadata, std::string text = "x") {
    grpc::ClientContext context;
    for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
    v1::TokenizeRequest request;
    request.set_text(std::move(text));
    v1::TokenizeResponse response;
    return v1::Primitives::NewStub(channel())->Tokenize(&context, request, &response);
  }
};

TEST_F(WireTest, GarbageInTheMetadataIsNamed) {
  start();
  grpc::Status status = tokenize({});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("luna-workflow-id is missing"));

  status = tokenize({{"luna-workflow-id", "a/../b"}});
  EXPECT_THAT(status.error_message(),
              HasSubstr("luna-workflow-id has the byte 0x2f at position 1"));

  status = tokenize({{"luna-workflow-id", "w"}, {"luna-workflow-id", "v"}});
  EXPECT_THAT(status.error_message(), HasSubstr("luna-workflow-id is given 2 times"));

  status = tokenize({{"luna-workflow-id", "w"}, {"luna-priority", "urgent"}});
  EXPECT_THAT(status.error_message(), HasSubstr("interactive, normal or bulk, found 'urgent'"));

  status = tokenize({{"luna-workflow-id", "w"}, {"luna-session-id", std::string(500, 'a')}});
  EXPECT_THAT(status.error_message(), HasSubstr("luna-session-id has 500 characters"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(WireTest, AMessageBeyondTheLimitIsRefusedAndTheServerLivesOn) {
  config_.limits.message_bytes = 1 << 20;
  start();
  const grpc::Status status = tokenize({{"luna-workflow-id", "w"}}, std::string(2 << 20, 'x'));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(tokenize({{"luna-workflow-id", "w"}}).ok());
}

TEST_F(WireTest, AFieldThatIsWrongIsNamedByItsPath) {
  start();
  grpc::ClientContext context;
  context.AddMetadata("luna-workflow-id", "w");
  v1::SampleRequest request;
  request.add_rows();
  const auto reader = v1::Primitives::NewStub(channel())->Sample(&context, request);
  v1::SampleResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("rows[0].latent: missing"));
}

TEST_F(WireTest, ASlowReaderStillGetsTheResultAndFewerSteps) {
  start();
  grpc::ClientContext context;
  context.AddMetadata("luna-workflow-id", "w");
  v1::SampleRequest request;
  request.mutable_run()->set_steps(5000);
  v1::SampleRow* row = request.add_rows();
  for (const int extent : {4, 8, 8}) row->mutable_latent()->mutable_spec()->add_shape(extent);
  auto* context_tensor =
      (*row->mutable_conditioning())["positive"].add_entries()->mutable_cross_attn();
  for (const int extent : {1, 77, 8}) context_tensor->mutable_spec()->add_shape(extent);
  row->mutable_noise()->set_seed(5);
  const auto reader = v1::Primitives::NewStub(channel())->Sample(&context, request);
  // Nothing is read until the sampler has finished: it was not held up.
  ASSERT_TRUE(support::wait_until([&] {
    const JobTotals jobs = core_->status().jobs;
    return worker_->last("sample") && jobs.running == 0 && jobs.queued == 0;
  }));
  v1::SampleResponse response;
  std::uint32_t last = 0;
  int results = 0;
  while (reader->Read(&response)) {
    if (response.has_progress()) {
      EXPECT_EQ(results, 0) << "progress after the result";
      EXPECT_GT(response.progress().step(), last);
      last = response.progress().step();
    } else {
      ++results;
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(results, 1);
  EXPECT_EQ(last, 5000u);
}

TEST_F(WireTest, UploadsThatLieAreRefused) {
  start();
  const auto upload = [&](const std::vector<v1::UploadTensorRequest>& messages, bool with_session) {
    grpc::ClientContext context;
    if (with_session) context.AddMetadata("luna-session-id", client_->session_id());
    v1::UploadTensorResponse response;
    const auto writer = v1::Tensors::NewStub(channel())->Upload(&context, &response);
    for (const auto& message : messages) writer->Write(message);
    writer->WritesDone();
    return writer->Finish();
  };
  v1::UploadTensorRequest spec, chunk;
  spec.mutable_spec()->add_shape(4);
  chunk.set_chunk(std::string(12, 'x'));
  EXPECT_THAT(upload({spec, chunk}, true).error_message(),
              HasSubstr("f32[4] needs 16 bytes, 12 came"));
  EXPECT_THAT(upload({spec, chunk, chunk}, true).error_message(), HasSubstr("has 16 bytes"));
  EXPECT_THAT(upload({chunk}, true).error_message(), HasSubstr("must be its spec"));
  EXPECT_THAT(upload({spec, spec}, true).error_message(), HasSubstr("chunks or one region"));
  EXPECT_THAT(upload({}, true).error_message(), HasSubstr("without a spec"));
  EXPECT_EQ(upload({spec, chunk}, false).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  v1::UploadTensorRequest vast;
  for (int i = 0; i < 3; ++i) vast.mutable_spec()->add_shape(2000);
  EXPECT_EQ(upload({vast}, true).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(core_->status().resident_tensors, 0u);
}

TEST_F(WireTest, UploadsOfAdaptersThatLieAreRefusedAndOneThatIsThereIsAnsweredAtItsHeader) {
  config_.models.uploads = folder_.file("uploads");
  config_.limits.adapter_bytes = 100;
  start();
  v1::UploadAdapterResponse response;
  const auto upload = [&](const std::vector<v1::UploadAdapterRequest>& messages) {
    grpc::ClientContext context;
    const auto writer = v1::Adapters::NewStub(channel())->Upload(&context, &response);
    for (const auto& message : messages) writer->Write(message);
    writer->WritesDone();
    return writer->Finish();
  };
  v1::UploadAdapterRequest header, chunk, another, vast;
  // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
  header.mutable_header()->set_sha256(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  header.mutable_header()->set_bytes(3);
  chunk.set_chunk("abc");
  another.set_chunk("abd");
  vast = header;
  vast.mutable_header()->set_bytes(101);
  EXPECT_THAT(upload({}).error_message(), HasSubstr("without a header"));
  EXPECT_THAT(upload({chunk}).error_message(), HasSubstr("must be its header"));
  EXPECT_THAT(upload({header, header}).error_message(), HasSubstr("chunks only"));
  EXPECT_THAT(upload({header}).error_message(), HasSubstr("3 bytes were announced, 0 came"));
  EXPECT_THAT(upload({header, chunk, chunk}).error_message(), HasSubstr("at least 6 came"));
  EXPECT_THAT(upload({header, another}).error_message(), HasSubstr("expected a file with SHA-256"));
  EXPECT_EQ(upload({vast}).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.file("uploads")));

  EXPECT_TRUE(upload({header, chunk}).ok());
  response.Clear();
  EXPECT_TRUE(upload({header}).ok());
  EXPECT_EQ(response.file(), "sha256:" + header.header().sha256());
}

TEST_F(WireTest, ASessionBeginsWithHelloAndAnswersPings) {
  start();
  grpc::ClientContext context;
  const auto stream = v1::Sessions::NewStub(channel())->Attend(&context);
  v1::SessionRequest request;
  v1::SessionResponse response;
  request.mutable_hello()->set_client_name("other client");
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.welcome().session_id().empty());
  EXPECT_EQ(response.welcome().planes(0), "inline");
  EXPECT_FALSE(response.welcome().server_version().empty());
  request.mutable_ping()->set_nonce(42);
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.pong().nonce(), 42u);
  EXPECT_EQ(core_->status().sessions, 2u);
  server_->drain();
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_FALSE(response.goodbye().reason().empty());
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(support::wait_until([&] { return core_->status().sessions == 1; }));
}

TEST_F(WireTest, ASessionThatBeginsWithAnythingElseIsRefused) {
  start();
  grpc::ClientContext context;
  const auto stream = v1::Sessions::NewStub(channel())->Attend(&context);
  v1::SessionRequest request;
  request.mutable_ping()->set_nonce(1);
  stream->Write(request);
  v1::SessionResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish().error_message(), HasSubstr("expected Hello first"));
}

TEST_F(WireTest, HealthSaysServingUntilTheDrain) {
  start();
  EXPECT_EQ(health_of(channel(), ""), 1);
  EXPECT_EQ(health_of(channel(), "luna.v1.Primitives"), 1);
  server_->drain();
  EXPECT_EQ(health_of(channel(), ""), 2);
  EXPECT_EQ(health_of(channel(), "luna.v1.Primitives"), 2);
}

TEST_F(WireTest, ReflectionListsTheServices) {
  start();
  const std::string listed = reflected_services(channel());
  for (const char* service : {"luna.v1.Sessions", "luna.v1.Workflows", "luna.v1.Primitives",
                              "luna.v1.Models", "luna.v1.Tensors", "luna.v1.Status"}) {
    EXPECT_THAT(listed, HasSubstr(service));
  }
}

TEST_F(WireTest, ReflectionCanBeTurnedOff) {
  config_.server.reflection = false;
  start();
  EXPECT_EQ(reflected_services(channel()), "");
}

TEST_F(WireTest, TcpIsServedAndIsNotLocal) {
  config_.server.listen = "127.0.0.1:0";
  start();
  ASSERT_GT(server_->tcp_port(), 0);
  folder_.write("elsewhere/secret.safetensors", "x");
  client::ConnectOptions options;
  options.address = "127.0.0.1:" + std::to_string(server_->tcp_port());
  auto remote = client::GrpcClient::connect(options);
  ASSERT_TRUE(remote.ok()) << remote.status().to_string();
  const std::string outside = folder_.file("elsewhere/secret.safetensors");
  EXPECT_EQ((*remote)->inspect_model(outside).status().code(), StatusCode::kPermissionDenied);
  EXPECT_TRUE(client_->inspect_model(outside).ok());
}

}  // namespace
}  // namespace luna
