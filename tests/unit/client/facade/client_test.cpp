#include "client/include/luna/client/client.h"

#include <gtest/gtest.h>

#include "tests/unit/client/pipeline/fake_service.h"

namespace luna::client {
namespace {

class ClientTest : public testing::Test {
 protected:
  std::shared_ptr<FakeService> fake_ = std::make_shared<FakeService>();
  Client client_{fake_, fake_};

  SampleRequest one_row() {
    SampleRequest request;
    request.rows.resize(1);
    request.rows[0].latent.spec.shape = {4, 2, 2};
    request.run.steps = 2;
    return request;
  }
};

TEST_F(ClientTest, APrimitiveIsABlockingCallWithGet) {
  const auto reply = client_.tokenize({}, {"abc"}).get();
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->chunks.at("l")[0][0].id, 3);
}

TEST_F(ClientTest, CallsRunAtTheSameTime) {
  auto first = client_.encode_text({}, {"a", {}, 0, {}, false});
  auto second = client_.encode_text({}, {"bb", {}, 0, {}, false});
  EXPECT_EQ(floats_of(second.get()->cross_attn)->at(0), 2.0f);
  EXPECT_EQ(floats_of(first.get()->cross_attn)->at(0), 1.0f);
}

TEST_F(ClientTest, ProgressOfASamplerRunIsReported) {
  int steps = 0;
  auto call = client_.sample({}, one_row(), [&](const SampleProgress&) { ++steps; });
  ASSERT_TRUE(call.get().ok());
  EXPECT_EQ(steps, 2);
  EXPECT_TRUE(client_.sample({}, one_row()).get().ok());
}

TEST_F(ClientTest, CancelEndsACall) {
  fake_->sample_hangs = true;
  auto call = client_.sample({}, one_row());
  EXPECT_FALSE(call.ready());
  call.cancel();
  EXPECT_EQ(call.get().status().code(), StatusCode::kCancelled);
}

TEST_F(ClientTest, ACallThatIsDroppedIsCancelled) {
  fake_->sample_hangs = true;
  {
    const auto call = client_.sample({}, one_row());
  }
  EXPECT_EQ(fake_->cancelled, 1);
}

TEST_F(ClientTest, AStopTokenCancelsWhileWaiting) {
  fake_->sample_hangs = true;
  std::stop_source stop;
  fake_->on_sample_begins = [&] { stop.request_stop(); };
  auto call = client_.sample({}, one_row());
  EXPECT_EQ(call.get(stop.get_token()).status().code(), StatusCode::kCancelled);
}

TEST_F(ClientTest, GenerateGoesThroughAllStages) {
  GenerateRequest request;
  request.workflow_id = "w";
  request.prompt = "a cat";
  request.width = request.height = 16;
  const auto result = client_.generate(request);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->pictures.size(), 1u);
}

TEST_F(ClientTest, AdminIsThePort) {
  EXPECT_EQ(*client_.admin().renew_workflow("w"), 60u);
  EXPECT_EQ(fake_->admin_calls, (std::vector<std::string>{"renew w"}));
}

}  // namespace
}  // namespace luna::client
