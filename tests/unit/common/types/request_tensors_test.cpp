#include "common/types/request_tensors.h"

#include <set>

#include <gtest/gtest.h>

namespace luna {
namespace {

TEST(RequestTensors, AreAllVisitedWithAndWithoutTheirNames) {
  SampleRequest request;
  SampleRow& row = request.rows.emplace_back();
  row.noise_mask.emplace();
  row.noise.tensor.emplace();
  row.extras["a"];
  ConditioningEntry& entry = row.conditioning["positive"].emplace_back();
  entry.pooled.emplace();
  entry.attention_mask.emplace();
  entry.mask.emplace();
  entry.extras["b"];
  JobRequest job = request;
  int visited = 0;
  visit_tensors(job, [&](TensorRef&) { ++visited; });
  EXPECT_EQ(visited, 9);
  std::set<std::string> names;
  const Status status = for_each_tensor(job, [&](TensorRef&, const std::string& name) {
    names.insert(name);
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(names.size(), 9u) << "each has a name of its own";
  EXPECT_TRUE(names.contains("rows[0].latent"));
}

TEST(RequestTensors, AreVisitedUntilOneFails) {
  DenoiseRequest request;
  request.rows.resize(3);
  JobRequest job = request;
  int visited = 0;
  const Status status = for_each_tensor(job, [&](TensorRef&, const std::string& name) {
    return ++visited == 2 ? error(StatusCode::kInvalidArgument, "{}", name) : Status();
  });
  EXPECT_EQ(status.message(), "rows[0].conditioning.cross_attn");
  EXPECT_EQ(visited, 2);
}

TEST(RequestTensors, OfAReplyAreVisitedToo) {
  DenoiseReply reply;
  reply.denoised.resize(2);
  JobReply answer = reply;
  int visited = 0;
  visit_tensors(answer, [&](TensorRef&) { ++visited; });
  EXPECT_EQ(visited, 2);
}

}  // namespace
}  // namespace luna
