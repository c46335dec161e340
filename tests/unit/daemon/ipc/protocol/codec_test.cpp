#include "daemon/ipc/protocol/codec.h"

#include <random>

#include "filled.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/local/memory.h"
#include "daemon/ipc/protocol/message_name.h"

namespace luna::ipc {
namespace {

using ::testing::HasSubstr;

template <class T>
T round_trip(const T& message) {
  EncodedMessage encoded = encode(Message(message));
  Result<Message> back = decode(encoded.body, std::move(encoded.attachments));
  EXPECT_TRUE(back.ok()) << back.status().to_string();
  return std::get<T>(back.value());
}

/// All messages, with all fields set, and each alternative of every variant.
std::vector<Message> all_messages() {
  std::vector<Message> messages;
  for (std::size_t variant = 0; variant < 9; ++variant) {
    messages.emplace_back(filled<WorkerToFrontHello>(variant));
    messages.emplace_back(filled<FrontToWorkerWelcome>(variant));
    messages.emplace_back(filled<WorkerToFrontReady>(variant));
    messages.emplace_back(filled<FrontToWorkerRun>(variant));
    messages.emplace_back(filled<FrontToWorkerCancel>(variant));
    messages.emplace_back(FrontToWorkerDrain{});
    messages.emplace_back(filled<WorkerToFrontProgress>(variant));
    messages.emplace_back(filled<WorkerToFrontDone>(variant));
    messages.emplace_back(filled<WorkerToFrontHeartbeat>(variant));
    messages.emplace_back(filled<WorkerToFrontSeekWeights>(variant));
    messages.emplace_back(filled<FrontToWorkerWeights>(variant));
    messages.emplace_back(filled<WorkerToFrontOfferWeights>(variant));
  }
  return messages;
}

TEST(Codec, EveryMessageComesBackOfTheSameKindAndContent) {
  for (const Message& message : all_messages()) {
    const EncodedMessage encoded = encode(message);
    const Result<Message> back = decode(encoded.body, encoded.attachments);
    ASSERT_TRUE(back.ok()) << back.status().to_string();
    EXPECT_EQ(back->index(), message.index());
    if (!std::holds_alternative<FrontToWorkerRun>(message)) {  // its deadline is a time that runs
      EXPECT_EQ(encode(*back).body, encoded.body) << message_name(message.index());
    }
  }
}

TEST(Codec, AJobKeepsItsContent) {
  Job job;
  job.id = {77};
  job.workflow = "portrait";
  job.priority = Priority::kInteractive;
  job.models.slots[Slot::kVae] = {"/models/vae/a.safetensors", Precision::kBF16};
  const std::vector<float> values = {1, 2, 3, 4};
  SampleRow row;
  row.latent = tensor_of({1, 2, 2}, values);
  row.noise.seed = 0xffffffffffffffffULL;
  row.loras = {{"/models/loras/x.safetensors", 0.5, -0.25}};
  row.conditioning["positive"].emplace_back().cross_attn = row.latent;
  SampleRequest sample;
  sample.rows = {row, row};
  job.request = sample;

  const Job back = round_trip(FrontToWorkerRun{job}).job;
  EXPECT_EQ(back.id, job.id);
  EXPECT_EQ(back.workflow, job.workflow);
  EXPECT_EQ(back.priority, job.priority);
  EXPECT_EQ(back.models, job.models);
  EXPECT_TRUE(back.deadline.infinite());
  const auto& rows = std::get<SampleRequest>(back.request).rows;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].loras, row.loras);
  EXPECT_EQ(rows[0].noise.seed, row.noise.seed);
  EXPECT_EQ(*floats_of(rows[0].latent), values);
  EXPECT_EQ(rows[1].conditioning.at("positive")[0].cross_attn.host_bytes(),
            rows[0].latent.host_bytes())
      << "bytes used in several places travel once and stay shared";
}

TEST(Codec, AFailedResultKeepsCodeAndMessage) {
  const WorkerToFrontDone done{{5}, Status(StatusCode::kDataLoss, "file a.safetensors shrank")};
  const WorkerToFrontDone back = round_trip(done);
  EXPECT_EQ(back.job, done.job);
  EXPECT_EQ(back.result.status(), done.result.status());
}

TEST(Codec, ADeadlineTravelsAsTheTimeThatIsLeft) {
  Job job;
  job.deadline = Deadline::after(std::chrono::hours(2));
  const Deadline back = round_trip(FrontToWorkerRun{job}).job.deadline;
  EXPECT_FALSE(back.infinite());
  EXPECT_GE(back.at(), job.deadline.at());
  EXPECT_LE(back.left(), std::chrono::hours(2));

  job.deadline = Deadline(Deadline::Clock::now() - std::chrono::seconds(1));
  EXPECT_TRUE(round_trip(FrontToWorkerRun{job}).job.deadline.expired());
}

Message with_tensor(BytesPtr bytes) {
  const auto size = static_cast<std::int64_t>(bytes->view().size());
  return WorkerToFrontDone{
      {1}, JobReply(VaeDecodeReply{TensorRef{{DType::kU8, {size}}, std::move(bytes)}})};
}

TEST(Codec, SmallTensorsTravelInlineAndLargeOnesBySealedDescriptor) {
  const EncodedMessage small = encode(with_tensor(bytes_from(std::string(kInlineAttachment, 's'))));
  ASSERT_EQ(small.attachments.size(), 1u);
  EXPECT_EQ(small.attachments[0]->fd(), -1);

  const std::string content(kInlineAttachment + 1, 'l');
  const EncodedMessage large = encode(with_tensor(bytes_from(content)));
  ASSERT_EQ(large.attachments.size(), 1u);
  EXPECT_TRUE(sealed_against_shrinking(large.attachments[0]->fd()));
  EXPECT_EQ(std::memcmp(large.attachments[0]->view().data(), content.data(), content.size()), 0);
}

TEST(Codec, ABodyCutShortAnywhereIsRefusedAndNamesTheField) {
  for (const Message& message : all_messages()) {
    const EncodedMessage encoded = encode(message);
    const std::size_t step = std::max<std::size_t>(1, encoded.body.size() / 97);
    for (std::size_t size = 0; size < encoded.body.size(); size += step) {
      const Result<Message> back =
          decode(std::string_view(encoded.body).substr(0, size), encoded.attachments);
      ASSERT_FALSE(back.ok());
      EXPECT_EQ(back.status().code(), StatusCode::kInvalidArgument);
      if (size > 0) {
        EXPECT_THAT(back.status().message(), HasSubstr(std::string(message_name(message.index()))));
      }
    }
  }
}

TEST(Codec, DamagedBodiesNeverDoMoreThanFail) {
  std::mt19937 random(7);
  const std::vector<Message> messages = all_messages();
  for (int i = 0; i < 3000; ++i) {
    EncodedMessage encoded = encode(messages[random() % messages.size()]);
    for (int flips = 0; flips < 3; ++flips) {
      encoded.body[random() % encoded.body.size()] = static_cast<char>(random());
    }
    (void)decode(encoded.body, encoded.attachments);
  }
}

std::string refusal(std::string body, std::vector<BytesPtr> attachments = {}) {
  const Result<Message> message = decode(body, std::move(attachments));
  EXPECT_FALSE(message.ok());
  EXPECT_EQ(message.status().code(), StatusCode::kInvalidArgument);
  return message.status().message();
}

TEST(Codec, RefusalsSayWhichFieldOfWhichMessageAndWhatWasFound) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("\x20"), HasSubstr(fmt::format("message number 32; expected 0 to {}",
                                                     std::variant_size_v<Message> - 1)));
  EXPECT_THAT(refusal(encode(FrontToWorkerDrain{}).body + "x"),
              HasSubstr("FrontToWorkerDrain: 1 bytes are left over"));
  EXPECT_THAT(refusal(encode(FrontToWorkerDrain{}).body, {bytes_from("x")}),
              HasSubstr("attachment 0 of 1 belongs to no field"));

  const EncodedMessage tensor = encode(with_tensor(bytes_from("abc")));
  EXPECT_THAT(refusal(tensor.body),
              HasSubstr("WorkerToFrontDone.result.pixels.place: attachment 0 of 0"));

  FrontToWorkerRun run;
  run.job.priority = static_cast<Priority>(9);
  EXPECT_THAT(refusal(encode(run).body),
              HasSubstr("FrontToWorkerRun.job.priority: 9 is no known value"));

  SampleRequest sample;
  sample.rows.resize(2);
  sample.rows[1].latent.spec.dtype = static_cast<DType>(99);
  run.job.priority = Priority::kNormal;
  run.job.request = sample;
  EXPECT_THAT(refusal(encode(run).body),
              HasSubstr("FrontToWorkerRun.job.request.rows[1].latent.spec.dtype: 99"));
}

TEST(Codec, ACountLargerThanTheBodyIsRefusedWithoutAllocating) {
  std::string body = encode(Message(WorkerToFrontReady{Status(), ""})).body;
  body.replace(body.size() - 4, 4, "\xff\xff\xff\xff");
  EXPECT_THAT(refusal(body), HasSubstr("WorkerToFrontReady.device: a count of 4294967295"));
}

}  // namespace
}  // namespace luna::ipc
