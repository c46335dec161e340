#include "daemon/worker/adapters/overlay.h"

#include <cmath>

#include <gmock/gmock.h>

namespace luna::worker {
namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;

HostWeights host_weights(const Named& tensors) {
  HostWeights weights;
  std::string bytes;
  for (const auto& [name, tensor] : tensors) {
    weights.tensors.push_back({name, {DType::kF32, tensor.sizes().vec()}, bytes.size()});
    bytes.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  }
  weights.bytes = bytes_from(std::move(bytes));
  return weights;
}

LoadedAdapter loaded(const Named& tensors, double strength = 1) {
  return {{"made.safetensors", strength, {}},
          std::make_shared<AdapterFile>(make_adapter(tensors).value())};
}

/// Up times down, which change a weight of as many rows and columns.
Named lora(const std::string& layer, std::int64_t rows, std::int64_t columns) {
  return {{layer + ".lora_up.weight", at::arange(1, rows + 1, at::kFloat).view({rows, 1})},
          {layer + ".lora_down.weight", at::arange(1, columns + 1, at::kFloat).view({1, columns})}};
}
at::Tensor product(std::int64_t rows, std::int64_t columns) {
  return at::outer(at::arange(1, rows + 1, at::kFloat), at::arange(1, columns + 1, at::kFloat));
}

Result<WeightStore::Tensors> overlay(const HostWeights& weights,
                                     const std::vector<LoadedAdapter>& adapters,
                                     at::ScalarType storage = at::kFloat,
                                     const WeightStore::Tensors& places = {}) {
  const auto plan = AdapterPlan::make(Slot::kClipG, weights, adapters);
  if (!plan.ok()) return plan.status();
  EXPECT_THAT(plan->warnings, testing::IsEmpty());
  return make_overlay(*plan, weights, storage, at::kCPU, places);
}

TEST(Overlay, ChangesAMatrixThatOpenClipKeepsTheOtherWayAround) {
  const HostWeights weights = host_weights({{"text_projection", at::ones({2, 3})}});
  const auto made = overlay(weights, {loaded(lora("text_encoder_2.text_projection", 3, 2), 0.5)});
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  const at::Tensor changed = made->at("text_projection");
  EXPECT_TRUE(changed.equal(1 + 0.5 * product(3, 2).t())) << changed;
  EXPECT_TRUE(changed.is_contiguous());
  EXPECT_FALSE(overlay(weights, {loaded(lora("lora_te2_text_projection", 2, 3))}).ok());
}

TEST(Overlay, ChangesTheRowsOfOneProjectionWhereThreeAreOneMatrix) {
  const std::string attention = "text_model.encoder.layers.0.self_attn.";
  const HostWeights weights = host_weights({{attention + "in_proj.weight", at::zeros({6, 3})}});
  const auto made =
      overlay(weights, {loaded(lora("text_encoder_2." + attention + "k_proj", 2, 3))});
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  const at::Tensor changed = made->at(attention + "in_proj.weight");
  EXPECT_TRUE(changed.narrow(0, 2, 2).equal(product(2, 3)));
  EXPECT_EQ(changed.narrow(0, 0, 2).abs().sum().item<float>() +
                changed.narrow(0, 4, 2).abs().sum().item<float>(),
            0);
}

TEST(Overlay, AddsLowRankChangesThatFollowEachOtherAsIfOneByOne) {
  const HostWeights weights =
      host_weights({{"text_projection", at::ones({2, 3})},
                    {"text_model.encoder.layers.0.mlp.fc1.weight", at::full({4, 3}, 0.5)}});
  const std::string layer = "text_encoder_2.text_model.encoder.layers.0.mlp.fc1";
  const Named difference = {{layer + ".diff", at::full({4, 3}, 2.0)}};
  const auto made = overlay(weights, {loaded(lora(layer, 4, 3), 0.5), loaded(lora(layer, 4, 3), -2),
                                      loaded(difference, 3), loaded(lora(layer, 4, 3), 1)});
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  EXPECT_TRUE(at::allclose(made->at("text_model.encoder.layers.0.mlp.fc1.weight"),
                           0.5 + 6 - 0.5 * product(4, 3)));
}

TEST(Overlay, IsWrittenWhereItShallLieAndIsTheSameThereWhateverWasThereBefore) {
  const std::string layer = "text_encoder_2.text_model.encoder.layers.0.mlp.fc1";
  const std::string fc1 = "text_model.encoder.layers.0.mlp.fc1.weight";
  const HostWeights weights =
      host_weights({{"text_projection", at::rand({2, 3})}, {fc1, at::rand({40, 30})}});
  const Named difference = {{layer + ".diff", at::rand({40, 30})}};
  const std::vector<std::vector<LoadedAdapter>> sets = {
      {loaded(lora(layer, 40, 30), 0.37)},
      {loaded(lora(layer, 40, 30), 0.37), loaded(difference, 0.61), loaded(lora(layer, 40, 30))},
      {loaded(lora("lora_te2_text_projection", 3, 2), 0.37)}};
  for (const at::ScalarType storage : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const at::ScalarType runs_in : {at::kFloat, storage}) {
      const WeightStore::Tensors places = {
          {fc1, at::full({40, 30}, std::nan(""), runs_in)},
          {"text_projection", at::full({2, 3}, std::nan(""), runs_in)}};
      for (const auto& set : sets) {
        const auto there = overlay(weights, set, storage, places),
                   anywhere = overlay(weights, set, storage);
        ASSERT_TRUE(there.ok() && anywhere.ok());
        ASSERT_EQ(there->size(), anywhere->size());
        for (const auto& [name, tensor] : *there) {
          EXPECT_TRUE(tensor.is_same(places.at(name)));
          EXPECT_TRUE(tensor.equal(anywhere->at(name).to(runs_in))) << name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace luna::worker
