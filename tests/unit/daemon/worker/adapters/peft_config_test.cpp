#include "daemon/worker/adapters/peft_config.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "daemon/worker/adapters/adapter_shelf.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string lora(const std::string& more = "") {
  return R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8)" + more + "}";
}
std::string refusal(const std::string& json) {
  return PeftConfig::parse(json).status().to_string();
}

TEST(PeftConfig, SaysAlphaOverRank) {
  EXPECT_DOUBLE_EQ(PeftConfig::parse(lora())->scale("base_model.model.x"), 2);
  EXPECT_DOUBLE_EQ(PeftConfig::parse(lora(R"(, "use_rslora": true)"))->scale("x"), 4);
  EXPECT_DOUBLE_EQ(PeftConfig::parse(R"({"peft_type": "LOKR", "r": 4, "alpha": 1})")->scale("x"),
                   0.25);
}

TEST(PeftConfig, HasPatternsThatNameTheEndOfALayersPathAndTheFirstCounts) {
  const auto config =
      PeftConfig::parse(lora(R"(, "alpha_pattern": {"to_q": 2, "attn1.to_q": 99, "unet.to_v": 5},
              "rank_pattern": {"to_v": 16})"));
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_DOUBLE_EQ(config->scale("base_model.model.attn1.to_q"), 0.5);
  EXPECT_DOUBLE_EQ(config->scale("to_q"), 0.5);
  EXPECT_DOUBLE_EQ(config->scale("add_to_q"), 2) << "only whole names";
  EXPECT_DOUBLE_EQ(config->scale("x.to_v"), 0.5) << "another rank";
  EXPECT_DOUBLE_EQ(config->scale("x.to_k"), 2);
}

TEST(PeftConfig, IsRefusedByWhatIsWrongOrNotServed) {
  EXPECT_THAT(refusal("nonsense"), HasSubstr("an object in JSON"));
  EXPECT_THAT(refusal("{}"), HasSubstr("expected 'peft_type'"));
  EXPECT_THAT(refusal(R"({"peft_type": "LORA", "r": 4})"), HasSubstr("'lora_alpha', found none"));
  EXPECT_THAT(refusal(R"({"peft_type": "LOHA", "alpha": 4, "r": 0})"),
              HasSubstr("'r' is 0; expected a number above 0"));
  EXPECT_THAT(refusal(lora(R"(, "rank_pattern": 3)")), HasSubstr("'rank_pattern' is no object"));
  EXPECT_THAT(refusal(lora(R"(, "alpha_pattern": {".*to_q": 2})")),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'.*to_q'")));
  EXPECT_THAT(refusal(R"({"peft_type": "VERA"})"),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("'VERA'; this version serves LORA")));
  EXPECT_THAT(refusal(lora(R"(, "init_lora_weights": "pissa_niter_4")")),
              AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("base weights other than the model's")));
  EXPECT_TRUE(PeftConfig::parse(lora(R"(, "init_lora_weights": "gaussian")")).ok());
}

class PeftFolder : public testing::Test {
 protected:
  void write_config(const std::string& text) {
    std::ofstream(dir_.file("adapter_config.json")) << text;
  }
  std::string write_adapter(const std::string& name) {
    support::SafetensorsWriter writer;
    writer.add("x.lora_B.weight", {2, 1}, std::vector<float>(2, 1.0F));
    writer.add("x.lora_A.weight", {1, 3}, std::vector<float>(3, 1.0F));
    writer.write(dir_.file(name));
    return dir_.file(name);
  }
  /// Every element of a weight of zeros after it.
  float added_by(AdapterShelf& shelf, const std::string& path) {
    const auto file = shelf.get(identify_adapter(path).value());
    EXPECT_TRUE(file.ok()) << file.status().to_string();
    if (!file.ok()) return std::nanf("");
    return (*file)->layers.at("x").weight->apply(at::zeros({2, 3}), 1)[0][0].item<float>();
  }
  support::TempDir dir_;
};

TEST_F(PeftFolder, AConfigCountsForTheFileBesideItThatPeftNames) {
  AdapterShelf shelf;
  const std::string adapter = write_adapter("adapter_model.safetensors");
  const std::string other = write_adapter("other.safetensors");
  EXPECT_EQ(added_by(shelf, adapter), 1) << "no config";
  write_config(lora());
  EXPECT_EQ(added_by(shelf, adapter), 2);
  EXPECT_EQ(added_by(shelf, other), 1) << "another file of that folder";
}

TEST_F(PeftFolder, AConfigThatChangesMakesAnotherAdapterOfTheSameFile) {
  AdapterShelf shelf;
  const std::string adapter = write_adapter("adapter_model.safetensors");
  write_config(lora());
  const FileIdentity before = identify_adapter(adapter).value();
  EXPECT_EQ(before, identify_adapter(adapter).value());
  EXPECT_EQ(added_by(shelf, adapter), 2);
  write_config(R"({"peft_type": "LORA", "r": 4, "lora_alpha": 12})");
  EXPECT_NE(before, identify_adapter(adapter).value());
  EXPECT_EQ(added_by(shelf, adapter), 3);
  std::filesystem::remove(dir_.file("adapter_config.json"));
  EXPECT_EQ(added_by(shelf, adapter), 1);
}

TEST_F(PeftFolder, AConfigThatIsWrongIsNamedInTheRefusalOfItsAdapter) {
  write_config("{");
  EXPECT_THAT(read_adapter(write_adapter("adapter_model.safetensors")).status().to_string(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("adapter_config.json")));
}

}  // namespace
}  // namespace luna::worker
