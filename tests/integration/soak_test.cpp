// Many small calls leave nothing behind: no memory, no descriptor, no tensor, no job.
#include <atomic>

#include <gtest/gtest.h>

#include "tests/integration/calls.h"
#include "tests/integration/footprint.h"
#include "tests/integration/model_folder.h"
#include "tests/support/repetitions.h"

namespace luna::support {
namespace {

/// The kinds of small calls, in turns; each fails with what went wrong.
class SmallCalls {
 public:
  SmallCalls(client::GrpcClient& client, Workflow& workflow, SampleRequest endless)
      : client_(client), workflow_(workflow), endless_(std::move(endless)) {}

  Status make(int number) {
    switch (number % 8) {
      case 0:
      case 1:
        return tokenize();
      case 2:
        return workflow_.encode("a blue boat").status();
      case 3:
        return client_.status().status();
      case 4: {
        LUNA_ASSIGN_OR_RETURN(kept_, client_.upload("soak", tensor_of({32, 32}, values_)));
        return {};
      }
      case 5:
        return client_.download("soak", std::get<ResidentTensor>(kept_.place).id).status();
      case 6:
        return client_.free_tensors("soak", {std::get<ResidentTensor>(kept_.place).id}).status();
      default:
        return cancelled_sample();
    }
  }

 private:
  Status tokenize() {
    Answer<TokenizeReply> answer;
    client_.tokenize(workflow_.options(), {"a red fox in the snow"}, answer.done());
    return answer.wait().status();
  }

  Status cancelled_sample() {
    Answer<SampleReply> answer;
    const auto handle =
        client_.sample(workflow_.options(), endless_, [](const SampleProgress&) {}, answer.done());
    handle->cancel();
    const Status status = answer.wait().status();
    if (status.code() == StatusCode::kCancelled) return {};
    return error(StatusCode::kInternal, "a cancelled call ended with {}", status.to_string());
  }

  client::GrpcClient& client_;
  Workflow& workflow_;
  const SampleRequest endless_;
  const std::vector<float> values_ = std::vector<float>(32 * 32, 0.5f);
  TensorRef kept_;
};

TEST(Soak, ManySmallCallsLeaveMemoryAndDescriptorsAsTheyWere) {
  const int calls = repetitions(2000, 100'000);
  const int warm_up = calls / 4;
  ModelFolder folder;
  folder.add_checkpoint("tiny.safetensors", 1);
  auto daemon = DaemonProcess::start(folder.path(), {.extra_toml = kNoSpares});
  auto client = daemon->connect();
  ASSERT_TRUE(client);
  Workflow workflow = register_workflow(*client, "soak", "tiny.safetensors");
  auto endless = workflow.request("a blue boat", "", 1);
  ASSERT_TRUE(endless.ok()) << endless.status().to_string();
  endless->run.steps = 10000;
  ASSERT_TRUE(workflow
                  .sample([&] {
                    SampleRequest first = *endless;
                    first.run.steps = 1;
                    return first;
                  }())
                  .ok());

  SmallCalls small(*client, workflow, *endless);
  Footprint before;
  for (int i = 0; i < calls; ++i) {
    if (i == warm_up) before = footprint(*daemon);
    const Status status = small.make(i);
    ASSERT_TRUE(status.ok()) << "call " << i << ": " << status.to_string();
  }

  EXPECT_TRUE(wait_until([&] {
    const StatusInfo status = daemon->status();
    return status.resident_tensors == 0 && status.jobs.running == 0 && status.jobs.queued == 0;
  }));
  Footprint after;
  EXPECT_TRUE(wait_until([&] {
    after = footprint(*daemon);
    return after.descriptors == before.descriptors;
  })) << in_words(after)
      << "\nbefore: " << in_words(before);
  EXPECT_LE(after.pss * 100, before.pss * 102)
      << in_words(after) << "\nbefore: " << in_words(before);
  RecordProperty("before_kib", static_cast<int>(before.pss >> 10));
  RecordProperty("after_kib", static_cast<int>(after.pss >> 10));
}

}  // namespace
}  // namespace luna::support
