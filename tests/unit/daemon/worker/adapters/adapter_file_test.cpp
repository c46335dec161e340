// Every kind of adapter against what ComfyUI's own code makes of the same weight
// (tests/parity/adapters_make_fixtures.py), and files that are wrong.
#include "daemon/worker/adapters/adapter_file.h"

#include <sstream>

#include <gmock/gmock.h>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string fixture(const std::string& name) {
  return std::string(LUNA_SOURCE_DIR) + "/tests/parity/fixtures/adapters/" + name + ".safetensors";
}

const WeightStore& expected() {
  static const auto store = load_weights({.path = fixture("expected"), .rename = {}}).value();
  return *store;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> pieces;
  std::istringstream stream(text);
  for (std::string piece; std::getline(stream, piece, at);) pieces.push_back(piece);
  return pieces;
}

/// "conv.weight" changed by the adapters of "lora+glora", one after the other.
at::Tensor changed(const std::string& kinds, const std::string& weight_name, double strength) {
  const std::string layer = weight_name.substr(0, weight_name.find('.'));
  at::Tensor weight = expected().find("weight/" + weight_name)->clone();
  for (const std::string& kind : split(kinds, '+')) {
    const auto file = read_adapter(fixture(kind));
    EXPECT_TRUE(file.ok()) << file.status().to_string();
    const auto found = file->layers.find(layer);
    EXPECT_NE(found, file->layers.end()) << kind << " has no layer " << layer;
    if (found == file->layers.end()) continue;
    const bool bias = weight_name.ends_with(".bias");
    const WeightChangePtr change = bias ? found->second.bias : found->second.weight;
    const Status fits = change->fits(weight.sizes());
    EXPECT_TRUE(fits.ok()) << fits.to_string();
    weight = change->apply(weight, strength);
  }
  return weight;
}

TEST(AdapterParity, EveryKindAndStackMakesTheWeightThatComfyUiMakes) {
  std::set<std::string> kinds;
  for (const auto& [name, wanted] : expected().tensors()) {
    const std::vector<std::string> pieces = split(name, '/');
    if (pieces[0] == "weight") continue;
    kinds.insert(pieces[0]);
    const at::Tensor found = changed(pieces[0], pieces[1], std::stod(pieces[2]));
    const double error = ((found - wanted).norm() / wanted.norm()).item<double>();
    EXPECT_LE(error, 2e-6) << name;
  }
  EXPECT_EQ(kinds.size(), 19u) << "15 kinds and 4 stacks";
}

TEST(AdapterParity, TheOrderOfAStackMattersWhereOneDependsOnTheWeightSoFar) {
  const at::Tensor one = changed("lora+glora", "linear.weight", 0.6);
  const at::Tensor other = changed("glora+lora", "linear.weight", 0.6);
  EXPECT_GT((one - other).abs().max().item<double>(), 1e-3);
}

class AdapterFiles : public testing::Test {
 protected:
  using Tensors = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;
  std::string file(const Tensors& tensors) {
    support::SafetensorsWriter writer;
    for (const auto& [name, shape] : tensors) {
      const auto count = static_cast<std::size_t>(c10::multiply_integers(shape));
      writer.add(name, shape, std::vector<float>(count, 0.5F));
    }
    writer.write(dir_.file("a.safetensors"));
    return dir_.file("a.safetensors");
  }
  std::string refusal(const Tensors& tensors) {
    const auto read = read_adapter(file(tensors));
    EXPECT_FALSE(read.ok());
    return read.status().to_string();
  }
  support::TempDir dir_;
};

TEST_F(AdapterFiles, EveryNamingOfLowRankPartsIsRead) {
  const Tensors tensors = {{"a.lora_up.weight", {4, 2}},
                           {"a.lora_down.weight", {2, 3}},
                           {"b.lora_B.weight", {4, 2}},
                           {"b.lora_A.weight", {2, 3}},
                           {"c.to_q_lora.up.weight", {4, 2}},
                           {"c.to_q_lora.down.weight", {2, 3}},
                           {"d.lora.up.weight", {4, 2}},
                           {"d.lora.down.weight", {2, 3}},
                           {"e.lora_linear_layer.up.weight", {4, 2}},
                           {"e.lora_linear_layer.down.weight", {2, 3}},
                           {"f.lora_B.default.weight", {4, 2}},
                           {"f.lora_A.default.weight", {2, 3}},
                           {"something else", {1}}};
  const auto read = read_adapter(file(tensors));
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  std::vector<std::string> layers;
  for (const auto& [name, layer] : read->layers) {
    layers.push_back(name);
    EXPECT_TRUE(layer.weight->fits({4, 3}).ok()) << name;
  }
  EXPECT_THAT(layers, testing::ElementsAre("a", "b", "c.to_q", "d", "e", "f"));
  EXPECT_THAT(read->unknown, testing::ElementsAre("something else"));
  EXPECT_EQ(read->bytes, 6u * (8 + 6) * 4);
}

TEST_F(AdapterFiles, AMissingPartIsNamed) {
  EXPECT_THAT(refusal({{"layer7.lora_down.weight", {2, 3}}}),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("a.safetensors"),
                    HasSubstr("layer 'layer7'"), HasSubstr("expected a tensor 'up'")));
  EXPECT_THAT(refusal({{"x.hada_w1_a", {4, 2}}, {"x.hada_w1_b", {2, 3}}}), HasSubstr("hada_w2_a"));
  EXPECT_THAT(refusal({{"x.alpha", {1}}}), HasSubstr("none of its 1 tensors is an adapter's"));
}

TEST_F(AdapterFiles, PartsThatContradictEachOtherAreNamed) {
  EXPECT_THAT(refusal({{"x.lora_up.weight", {4, 3}}, {"x.lora_down.weight", {2, 3}}}),
              HasSubstr("a rank of 2 for 'down' and of 3 for 'up'"));
  EXPECT_THAT(refusal({{"x.lora_up.weight", {4}}, {"x.lora_down.weight", {2, 3}}}),
              HasSubstr("'up' has the shape [4]"));
  EXPECT_THAT(
      refusal({{"x.lora_up.weight", {4, 2}}, {"x.lora_down.weight", {2, 3}}, {"x.alpha", {2}}}),
      HasSubstr("'alpha' has 2 numbers"));
  EXPECT_THAT(refusal({{"x.oft_blocks", {2, 3, 4}}}), HasSubstr("not square"));
  EXPECT_THAT(refusal({{"x.hada_w1_a", {4, 2}},
                       {"x.hada_w1_b", {3, 3}},
                       {"x.hada_w2_a", {4, 2}},
                       {"x.hada_w2_b", {2, 3}}}),
              HasSubstr("do not belong together"));
  EXPECT_THAT(refusal({{"x.lora_up.weight", {4, 2}}, {"x.lora_B.weight", {4, 2}}}),
              HasSubstr("'up' comes twice"));
}

TEST_F(AdapterFiles, WhatIsNotServedIsSaidRatherThanLeftOut) {
  EXPECT_THAT(
      refusal(
          {{"x.lora_A.weight", {2, 3}}, {"x.lora_B.weight", {4, 2}}, {"x.reshape_weight", {2}}}),
      AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("reshape_weight")));
  EXPECT_THAT(refusal({{"x.diff", {2, 3}}, {"x.lora_magnitude_vector", {4}}}),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("magnitude_vector without LoRA")));
  EXPECT_THAT(read_adapter("/models/old.pt").status().to_string(),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("pickle")));
}

TEST_F(AdapterFiles, PeftsMagnitudeHasOneNumberForEachRow) {
  const auto read = read_adapter(file({{"x.lora_A.weight", {2, 3}},
                                       {"x.lora_B.weight", {4, 2}},
                                       {"x.lora_magnitude_vector", {3}}}));
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  EXPECT_THAT(read->layers.at("x").weight->fits({4, 3}).to_string(),
              HasSubstr("a DoRA magnitude for each row for a weight [4, 3], found 3"));
}

TEST_F(AdapterFiles, AChangeSaysWhichWeightsItFits) {
  const auto read = read_adapter(fixture("lora"));
  ASSERT_TRUE(read.ok());
  const WeightChangePtr change = read->layers.at("linear").weight;
  EXPECT_THAT(change->fits({16, 9}).to_string(),
              AllOf(HasSubstr("weight [16, 9]"), HasSubstr("16 x 8")));
  EXPECT_FALSE(change->fits({8, 16}).ok());
  for (const char* kind : {"loha", "lokr", "glora", "glora_old", "oft", "boft", "diff"}) {
    const auto other = read_adapter(fixture(kind));
    EXPECT_FALSE(other->layers.at("linear").weight->fits({15, 7}).ok()) << kind;
    EXPECT_FALSE(other->layers.at("linear").weight->fits({}).ok()) << kind;
  }
}

}  // namespace
}  // namespace luna::worker
