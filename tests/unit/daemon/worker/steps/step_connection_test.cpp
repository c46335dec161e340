#include "daemon/worker/steps/step_connection.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include "common/base/lasting_bytes.h"
#include "common/wire/status_mapping.h"
#include "tests/unit/daemon/worker/steps/step_client.h"

namespace luna::worker {
namespace {

using support::wait_until;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

StatusCode code_of(const v1::LocalResponse& response) {
  return wire::status_code_of_grpc(static_cast<int>(response.code()));
}

class StepSockets : public testing::Test {
 protected:
  StepSockets() {
    opening_.workflow = "w";
    opening_.rows_per_call = 4;
    opening_.models.slots = {{Slot::kUNet, {"/models/unet.safetensors", Precision::kAuto}}};
    opening_.lora_files = {{"style.safetensors", "/models/loras/style.safetensors"}};
  }
  ~StepSockets() override { engine_.stop(); }

  std::unique_ptr<StepClient> open(std::uint64_t id = 1) {
    auto sockets = socket_pair().value();
    opening_.id = StepsId{id};
    worker_end_ = duplicate(sockets.second.get()).value();
    server_.open(opening_, std::move(sockets.second));
    return std::make_unique<StepClient>(std::move(sockets.first));
  }
  bool ended(std::uint64_t id) {
    return wait_until([&] {
      std::lock_guard lock(mutex_);
      return ended_.contains(StepsId{id});
    });
  }

  std::mutex mutex_;
  std::map<StepsId, std::uint64_t> ended_;  ///< with their evaluations
  StepsOpening opening_;
  UniqueFd worker_end_;  ///< as the front has it
  ScriptedEngine engine_;
  StepServer server_{engine_, [this](StepsId id, std::uint64_t evaluations) {
                       std::lock_guard lock(mutex_);
                       ended_[id] = evaluations;
                     }};
};

TEST_F(StepSockets, AnEvaluationReadsAndWritesTheClientsMemory) {
  const auto client = open();
  const ClientMemory memory(8);
  std::ranges::fill(memory.values, 3.0F);
  client->send(StepClient::step(client->region_of(memory.bytes)));
  const auto held = engine_.next();
  const auto& row = std::get<DenoiseRequest>(held->job.request).rows.at(0);
  EXPECT_THAT(floats_of(row.x).value(), ElementsAre(3, 3, 3, 3));
  EXPECT_EQ(held->job.workflow, "w");
  EXPECT_EQ(held->job.models, opening_.models);
  engine_.answer(held, 7);
  const auto answer = client->receive();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->denoised().denoised(0).region().offset(), 16u);
  EXPECT_THAT(memory.values.first(4), Each(3.0F));
  EXPECT_THAT(memory.values.last(4), Each(7.0F));
  EXPECT_TRUE(wait_until([&] { return server_.evaluations()[1] == 1; }));
}

TEST_F(StepSockets, WithoutAPlaceTheResultComesInline) {
  const auto client = open();
  const ClientMemory memory(4);
  auto step = StepClient::step(client->region_of(memory.bytes));
  step.mutable_denoise()->clear_into();
  client->send(step);
  engine_.answer(engine_.next(), 7);
  EXPECT_EQ(client->receive()->denoised().denoised(0).inline_().size(), 16u);
}

TEST_F(StepSockets, WhatIsNoRequestIsAnsweredAndTheSocketGoesOn) {
  const auto client = open();
  client->send_bytes(9, "");
  EXPECT_THAT(client->receive()->message(), HasSubstr("found message 9"));
  client->send_bytes(1, "\xff\xff not protobuf");
  EXPECT_THAT(client->receive()->message(), HasSubstr("expected a LocalRequest"));
  EXPECT_THAT(client->ask({}).message(), HasSubstr("found no request"));
  v1::LocalRequest attach;
  attach.mutable_attach()->set_token("t");
  EXPECT_THAT(client->ask(attach).message(), HasSubstr("found attach"));
  v1::LocalRequest nothing;
  nothing.mutable_denoise();
  EXPECT_THAT(client->ask(nothing).message(), HasSubstr("rows: 1 to 4 rows a call"));
  EXPECT_EQ(engine_.seen(), 0u);
  const ClientMemory memory(8);
  EXPECT_EQ(client->region_of(memory.bytes), "r1") << "and serves the next one";
}

TEST_F(StepSockets, BytesThatAreNoFrameEndTheConnectionAfterAnAnswerAndNoOther) {
  const auto client = open(1), neighbour = open(2);
  const std::string noise(64, 'x');
  ASSERT_EQ(::send(client->fd(), noise.data(), noise.size(), 0), 64);
  EXPECT_EQ(code_of(*client->receive()), StatusCode::kInvalidArgument);
  EXPECT_EQ(client->receive().status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(ended(1));
  const ClientMemory memory(8);
  EXPECT_EQ(neighbour->region_of(memory.bytes), "r1");
}

TEST_F(StepSockets, MemoryThatCouldShrinkOrIsTooSmallIsRefused) {
  const auto client = open();
  v1::LocalRequest request;
  request.mutable_register_region()->set_bytes(16);
  EXPECT_THAT(client->ask(request).message(), HasSubstr("expected one descriptor"));
  UniqueFd shrinks(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(shrinks.get(), 16), 0);
  EXPECT_THAT(client->register_region(descriptor_alone(std::move(shrinks)), 16).message(),
              HasSubstr("sealed against shrinking"));
  const ClientMemory memory(8);
  EXPECT_THAT(client->register_region(memory.bytes, 33).message(),
              HasSubstr("33 bytes were announced, the descriptor has 32"));
  EXPECT_EQ(code_of(client->register_region(memory.bytes, 0)), StatusCode::kInvalidArgument);
}

TEST_F(StepSockets, RegionsAndOffsetsOutOfBoundsAreRefusedByName) {
  const auto client = open();
  const ClientMemory memory(8);
  const std::string region = client->region_of(memory.bytes);
  auto step = StepClient::step(region);
  v1::DenoiseRow& row = *step.mutable_denoise()->mutable_request()->mutable_rows(0);
  row.mutable_x()->mutable_region()->set_offset(20);
  EXPECT_THAT(client->ask(step).message(), HasSubstr("rows[0].x: region 'r1' has 32 bytes"));
  row.mutable_x()->mutable_region()->set_offset(UINT64_MAX);
  EXPECT_EQ(code_of(client->ask(step)), StatusCode::kInvalidArgument);
  row.mutable_x()->mutable_region()->set_region_id("r9");
  EXPECT_EQ(code_of(client->ask(step)), StatusCode::kNotFound);
  step = StepClient::step(region);
  step.mutable_denoise()->mutable_into(0)->set_offset(17);
  EXPECT_THAT(client->ask(step).message(), HasSubstr("into[0]: region 'r1' has 32 bytes"));
  step.mutable_denoise()->add_into()->set_region_id(region);
  EXPECT_THAT(client->ask(step).message(), HasSubstr("one for each of the 1 rows, found 2"));
  v1::LocalRequest release;
  release.mutable_release_regions()->add_region_ids(region);
  EXPECT_EQ(client->ask(release).regions_released().freed_bytes(), 32u);
  EXPECT_EQ(code_of(client->ask(release)), StatusCode::kNotFound);
  EXPECT_EQ(code_of(client->ask(StepClient::step(region))), StatusCode::kNotFound);
  EXPECT_EQ(engine_.seen(), 0u);
}

TEST_F(StepSockets, WhatIsSealedIsReadAsOneLastingThingAndNeverWritten) {
  const auto client = open();
  MemoryRegion region = MemoryRegion::create("test", 64).value();
  const BytesPtr sealed = std::move(region).finish().value();
  const auto registered = client->register_region(sealed, 64).region_registered();
  EXPECT_TRUE(registered.constant());
  EXPECT_THAT(client->ask(StepClient::step(registered.region_id())).message(),
              HasSubstr("into[0]: region 'r1' may only be read"));
  const ClientMemory memory(8);
  auto step = StepClient::step(client->region_of(memory.bytes));
  step.mutable_denoise()
      ->mutable_request()
      ->mutable_rows(0)
      ->mutable_conditioning()
      ->mutable_cross_attn()
      ->mutable_region()
      ->set_region_id(registered.region_id());
  std::vector<const Bytes*> contexts;
  for (int i = 0; i < 2; ++i) {
    client->send(step);
    const auto held = engine_.next();
    const DenoiseRow& row = std::get<DenoiseRequest>(held->job.request).rows.at(0);
    contexts.push_back(row.conditioning.cross_attn.host_bytes().get());
    EXPECT_TRUE(is_lasting(*contexts.back()));
    EXPECT_FALSE(is_lasting(*row.x.host_bytes()));
    engine_.answer(held, 1);
    ASSERT_TRUE(client->receive().ok());
  }
  EXPECT_EQ(contexts[0], contexts[1]);
}

TEST_F(StepSockets, StepsThatAreSentAtOnceAreEvaluatedOneAfterTheOther) {
  const auto client = open();
  const ClientMemory memory(8);
  const auto step = StepClient::step(client->region_of(memory.bytes));
  const int steps = 12;  // more than the pipeline takes
  for (int i = 0; i < steps; ++i) client->send(step);
  for (int i = 0; i < steps; ++i) {
    const auto held = engine_.next();
    EXPECT_EQ(engine_.seen(), static_cast<std::size_t>(i) + 1);
    i == 5 ? engine_.fail(held, error(StatusCode::kResourceExhausted, "no memory"))
           : engine_.answer(held, static_cast<float>(i));
    const auto answer = client->receive();
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    if (i == 5) {
      EXPECT_EQ(code_of(*answer), StatusCode::kResourceExhausted);
    } else {
      EXPECT_EQ(memory.values.back(), static_cast<float>(i));
    }
  }
}

TEST_F(StepSockets, APeerThatDiesCancelsWhatRunsWhoseMemoryStaysUntilThen) {
  auto client = open();
  {
    const ClientMemory memory(8);
    client->send(StepClient::step(client->region_of(memory.bytes)));
  }
  const auto held = engine_.next();
  client->close();
  EXPECT_TRUE(ended(1));
  EXPECT_THAT(engine_.cancelled(), ElementsAre(held->job.id));
  EXPECT_THAT(floats_of(std::get<DenoiseRequest>(held->job.request).rows.at(0).x).value(),
              SizeIs(4));
  engine_.answer(held, 1);  // writes where the client had its memory, and answers nobody
}

TEST_F(StepSockets, EndedByTheFrontItAnswersWhatRunsAndTakesNothingMore) {
  const auto client = open();
  const ClientMemory memory(8);
  const auto step = StepClient::step(client->region_of(memory.bytes));
  client->send(step);
  const auto held = engine_.next();
  ::shutdown(worker_end_.get(), SHUT_RD);
  EXPECT_NE(::send(client->fd(), "x", 1, MSG_NOSIGNAL), 1) << "at once, whatever the worker does";
  engine_.answer(held, 4);
  EXPECT_TRUE(client->receive().ok());
  EXPECT_THAT(memory.values.last(4), Each(4.0F));
  EXPECT_EQ(client->receive().status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(ended(1));
  EXPECT_THAT(engine_.cancelled(), SizeIs(0));
}

TEST_F(StepSockets, LorasAreThoseThatTheSocketWasOpenedFor) {
  const auto client = open();
  const ClientMemory memory(8);
  auto step = StepClient::step(client->region_of(memory.bytes));
  v1::LoraRef* lora = step.mutable_denoise()->mutable_request()->mutable_rows(0)->add_loras();
  lora->set_file("other.safetensors");
  const auto refused = client->ask(step);
  EXPECT_EQ(code_of(refused), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("lora 'other.safetensors' is not among the 1"));
  lora->set_file("style.safetensors");
  lora->set_model_strength(0.5);
  client->send(step);
  const auto held = engine_.next();
  const auto& loras = std::get<DenoiseRequest>(held->job.request).rows.at(0).loras;
  EXPECT_EQ(loras.at(0).path, "/models/loras/style.safetensors");
  EXPECT_EQ(loras.at(0).model_strength, 0.5);
  engine_.answer(held, 1);
}

TEST_F(StepSockets, DeadlineAndPriorityGoWithTheStepAndNothingIsKept) {
  const auto client = open();
  const ClientMemory memory(8);
  auto step = StepClient::step(client->region_of(memory.bytes));
  step.mutable_denoise()->set_priority("interactive");
  step.mutable_denoise()->set_timeout_us(60'000'000);
  client->send(step);
  const auto held = engine_.next();
  EXPECT_EQ(held->job.priority, Priority::kInteractive);
  EXPECT_FALSE(held->job.deadline.infinite());
  EXPECT_LE(held->job.deadline.left(), std::chrono::minutes(1));
  engine_.answer(held, 1);
  ASSERT_TRUE(client->receive().ok());
  step.mutable_denoise()->set_priority("urgent");
  EXPECT_THAT(client->ask(step).message(), HasSubstr("found 'urgent'"));
  step.mutable_denoise()->set_priority("");
  step.mutable_denoise()->mutable_request()->set_keep(true);
  EXPECT_THAT(client->ask(step).message(), HasSubstr("keeps nothing"));
}

TEST_F(StepSockets, EndsAreToldWithWhatWasEvaluated) {
  auto client = open(5);
  const ClientMemory memory(8);
  const auto step = StepClient::step(client->region_of(memory.bytes));
  for (int i = 0; i < 3; ++i) {
    client->send(step);
    engine_.answer(engine_.next(), 1);
    ASSERT_TRUE(client->receive().ok());
  }
  client->close();
  ASSERT_TRUE(ended(5));
  EXPECT_EQ(ended_[StepsId{5}], 3u);
  EXPECT_TRUE(server_.evaluations().empty());
}

}  // namespace
}  // namespace luna::worker
