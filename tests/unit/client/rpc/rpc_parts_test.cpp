#include <atomic>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/rpc/call_state.h"
#include "client/rpc/courier.h"
#include "client/rpc/grpc_client.h"
#include "client/rpc/rpc_status.h"
#include "client/rpc/transfer.h"

namespace luna::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string text_of(grpc::StatusCode code, const std::string& message) {
  return from_grpc(grpc::Status(code, message), "unix:/run/x").message();
}

TEST(RpcStatus, LunasOwnSentencesPassUnchanged) {
  const Status status =
      from_grpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "no workflow 'w'"), "unix:/run/x");
  EXPECT_EQ(status, Status(StatusCode::kNotFound, "no workflow 'w'"));
  EXPECT_EQ(text_of(grpc::StatusCode::UNAVAILABLE, "lunad is stopping"), "lunad is stopping");
  EXPECT_TRUE(from_grpc(grpc::Status::OK, "unix:/run/x").ok());
}

TEST(RpcStatus, TheTransportsSayWhereAndWhatToDo) {
  EXPECT_THAT(text_of(grpc::StatusCode::UNAVAILABLE, "failed to connect to all addresses"),
              AllOf(HasSubstr("unix:/run/x"), HasSubstr("start lunad, or")));
  EXPECT_THAT(text_of(grpc::StatusCode::UNAVAILABLE, "Socket closed"), HasSubstr("connect again"));
  EXPECT_THAT(text_of(grpc::StatusCode::UNAVAILABLE, ""), HasSubstr("broke; connect again"));
  EXPECT_THAT(text_of(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded"),
              HasSubstr("deadline passed before lunad at unix:/run/x"));
  EXPECT_EQ(text_of(grpc::StatusCode::CANCELLED, "CANCELLED"), "the call was cancelled");
  EXPECT_THAT(
      text_of(grpc::StatusCode::RESOURCE_EXHAUSTED, "Received message larger than max (10 vs. 5)"),
      AllOf(HasSubstr("10 vs. 5"), HasSubstr("upload")));
  EXPECT_THAT(text_of(grpc::StatusCode::UNIMPLEMENTED, ""), HasSubstr("is it lunad"));
  EXPECT_THAT(text_of(grpc::StatusCode::INTERNAL, ""), HasSubstr("gave no reason"));
}

TEST(Courier, RunsWhatWasPostedEvenWhenItEnds) {
  std::atomic<int> ran = 0;
  {
    Courier courier;
    for (int i = 0; i < 100; ++i) courier.post([&] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

TEST(Courier, OneTaskThatWaitsDoesNotHoldUpTheNext) {
  std::promise<void> go;
  Courier courier;  // its end waits for both tasks, which need the promise
  courier.post([&] { go.get_future().wait(); });
  courier.post([&] { go.set_value(); });  // hangs here if both share one thread
}

TEST(CallState, CancelComesThroughWheneverTheExchangeIsAttached) {
  CallState call;
  call.cancel();
  EXPECT_TRUE(call.cancelled());
  grpc::ClientContext context;
  call.attach(&context);  // a context that is cancelled before its call starts stays cancelled
  call.detach();
  call.cancel();
}

TensorRef of_bytes(std::size_t size) {
  TensorRef tensor;
  tensor.spec.dtype = DType::kU8;
  tensor.spec.shape = {static_cast<std::int64_t>(size)};
  tensor.place = bytes_from(std::string(size, 'x'));
  return tensor;
}

JobRequest two_rows(std::size_t first, std::size_t second) {
  SampleRequest request;
  for (const std::size_t size : {first, second}) {
    SampleRow& row = request.rows.emplace_back();
    row.latent = of_bytes(size);
  }
  return request;
}

TEST(Transfer, UploadIsNeededWhenTheTensorsTogetherExceedTheLimit) {
  JobRequest request = two_rows(60, 40);
  EXPECT_FALSE(needs_upload(request, 100));
  EXPECT_TRUE(needs_upload(request, 99));
  JobRequest tokenize = TokenizeRequest{std::string(1000, 'x')};
  EXPECT_FALSE(needs_upload(tokenize, 1));
}

TEST(Transfer, TheReplysSizeIsBoundedByTheRequestsShapes) {
  VaeDecodeRequest decode;
  decode.latent.spec.shape = {2, 4, 64, 64};
  EXPECT_EQ(reply_bytes_bound(decode), 2ull * 1024 * 1024 * 3 * 4);
  decode.as_u8 = true;
  EXPECT_EQ(reply_bytes_bound(decode), 2ull * 1024 * 1024 * 3);
  decode.latent.spec.shape = {-1, 4, 64, 64};
  EXPECT_EQ(reply_bytes_bound(decode), 0u);
  SampleRequest sample;
  sample.rows.resize(3);
  for (SampleRow& row : sample.rows) row.latent.spec.shape = {4, 8, 8};
  EXPECT_EQ(reply_bytes_bound(sample), 3u * 4 * 8 * 8 * 4);
  EXPECT_EQ(reply_bytes_bound(TokenizeRequest{}), 0u);
}

TEST(Connect, WithoutAnAddressSaysWhatOneLooksLike) {
  const auto client = GrpcClient::connect({});
  EXPECT_EQ(client.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(client.status().message(), HasSubstr("unix:PATH or HOST:PORT"));
}

}  // namespace
}  // namespace luna::client
