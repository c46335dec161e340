#include "tests/integration/calls.h"

#include <cmath>

#include <gtest/gtest.h>

namespace luna::support {

Result<EncodeTextReply> Workflow::encode(const std::string& text) {
  Answer<EncodeTextReply> answer;
  EncodeTextRequest request;
  request.text = text;
  auto call = client_.encode_text(options_, std::move(request), answer.done());
  return answer.wait();
}

Result<SampleRequest> Workflow::request(const std::string& positive, const std::string& negative,
                                        std::uint64_t seed, int cells) {
  LUNA_ASSIGN_OR_RETURN(EncodeTextReply yes, encode(positive));
  LUNA_ASSIGN_OR_RETURN(EncodeTextReply no, encode(negative));
  SampleRow row;
  row.latent.spec = {DType::kF32, {4, cells, cells}};
  row.noise.seed = seed;
  ConditioningEntry entry;
  entry.cross_attn = yes.cross_attn;
  entry.pooled = yes.pooled;
  row.conditioning["positive"] = {entry};
  entry.cross_attn = no.cross_attn;
  entry.pooled = no.pooled;
  row.conditioning["negative"] = {entry};
  SampleRequest request;
  request.rows.push_back(std::move(row));
  return request;
}

Answer<SampleReply> Workflow::start(SampleRequest request,
                                    std::function<void(const SampleProgress&)> on_progress) {
  Answer<SampleReply> answer;
  if (!on_progress) on_progress = [](const SampleProgress&) {};
  client_.sample(options_, std::move(request), std::move(on_progress), answer.done());
  return answer;
}

Result<VaeDecodeReply> Workflow::decode(const TensorRef& latents) {
  Answer<VaeDecodeReply> answer;
  VaeDecodeRequest request;
  request.latent = latents;
  if (request.latent.spec.shape.size() == 3)
    request.latent.spec.shape.insert(request.latent.spec.shape.begin(), 1);
  client_.vae_decode(options_, std::move(request), answer.done());
  return answer.wait();
}

Workflow register_workflow(client::GrpcClient& client, const std::string& id,
                           const std::string& checkpoint, const std::string& vae) {
  RequestedModels models;
  models.checkpoint = ModelRef{checkpoint, Precision::kF32};
  if (!vae.empty()) models.slots[Slot::kVae] = ModelRef{vae, Precision::kF32};
  const auto registered = client.register_workflow(id, models, 0, false);
  EXPECT_TRUE(registered.ok()) << registered.status().to_string();
  return Workflow(client, id);
}

double relative_error(const SampleReply& a, const SampleReply& b) {
  if (a.latents.size() != b.latents.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (std::size_t row = 0; row < a.latents.size(); ++row) {
    const auto x = floats_of(a.latents[row]), y = floats_of(b.latents[row]);
    if (!x.ok() || !y.ok() || x->size() != y->size()) return INFINITY;
    for (std::size_t i = 0; i < x->size(); ++i) {
      const double d = (*x)[i] - (*y)[i];
      difference += d * d;
      norm += double((*y)[i]) * (*y)[i];
    }
  }
  return std::sqrt(difference / norm);
}

}  // namespace luna::support
