// Adapters as peft and lycoris write them, against ComfyUI's weights and the libraries' own forward
// (tests/parity/libraries_make_fixtures.py). Where ComfyUI and a library differ, Luna is ComfyUI.
#include <filesystem>
#include <map>
#include <set>

#include <gmock/gmock.h>

#include "daemon/worker/adapters/adapter_file.h"
#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/temp_dir.h"

namespace luna::worker {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::filesystem::path kFolder =
    std::filesystem::path(LUNA_SOURCE_DIR) / "tests/parity/fixtures/libraries";

/// Cases whose layers ComfyUI changes otherwise than the library, and why.
const std::map<std::string, std::string> kOtherThanLibrary = {
    {"dora_rows", "the norm of the unchanged weight's rows, not of the sum's"},
    {"glora_rslora", "alpha / rank: the file does not say that it is stabilised"},
    {"diag_oft_constraint", "the constraint is not multiplied by the number of rows"},
    {"diag_oft_rescaled", "'rescale' is not looked at"},
    {"boft_constraint", "the constraint is not multiplied by the number of rows"},
};
/// What ComfyUI does not look at, and Luna does.
const std::set<std::string> kMoreThanComfyUi = {"peft_dora"};
const std::set<std::string> kUnserved = {"ia3", "peft_oft", "peft_boft", "peft_adalora",
                                         "peft_ia3"};

const WeightStore& recorded() {
  static const auto store =
      load_weights({.path = kFolder / "expected.safetensors", .rename = {}}).value();
  return *store;
}

struct Record {
  std::string of, kase, weight;
  double strength = 1;
};
/// "comfyui/locon/linear.weight/0.6".
Record record_of(const std::string& name) {
  std::vector<std::string> pieces;
  for (const auto& piece : std::filesystem::path(name)) pieces.push_back(piece);
  pieces.resize(4, "1");
  return {pieces[0], pieces[1], pieces[2], std::stod(pieces[3])};
}
std::vector<std::pair<Record, at::Tensor>> records(const std::string& of) {
  std::vector<std::pair<Record, at::Tensor>> found;
  for (const auto& [name, tensor] : recorded().tensors())
    if (name.starts_with(of + "/")) found.emplace_back(record_of(name), tensor);
  return found;
}

double apart(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found - wanted).norm() / wanted.norm()).item<double>();
}

bool is_peft(const std::string& kase) { return kase.starts_with("peft_"); }

class LibraryAdapters : public testing::Test {
 protected:
  static Result<AdapterFile> read(const std::string& kase) {
    return is_peft(kase) ? read_adapter(kFolder / kase / "adapter_model.safetensors")
                         : read_adapter(kFolder / (kase + ".safetensors"));
  }
  /// The same tensors where no config lies beside them.
  Result<AdapterFile> read_alone(const std::string& kase) {
    if (!is_peft(kase)) return read(kase);
    const std::string alone = dir_.file(kase + ".safetensors");
    std::filesystem::copy_file(kFolder / kase / "adapter_model.safetensors", alone,
                               std::filesystem::copy_options::overwrite_existing);
    return read_adapter(alone);
  }

  /// "conv.weight" changed as a file says; as it was when the file has nothing for it.
  static at::Tensor changed(const Result<AdapterFile>& file, const std::string& weight_name,
                            double strength, at::Tensor weight) {
    EXPECT_TRUE(file.ok()) << file.status().to_string();
    if (!file.ok()) return weight;
    const std::size_t dot = weight_name.find('.');
    for (const char* prefix : {"lycoris_", "base_model.model."}) {
      const auto layer = file->layers.find(prefix + weight_name.substr(0, dot));
      if (layer == file->layers.end()) continue;
      const bool bias = weight_name.substr(dot) == ".bias";
      const WeightChangePtr change = bias ? layer->second.bias : layer->second.weight;
      if (!change) return weight;
      EXPECT_TRUE(change->fits(weight.sizes()).ok()) << weight_name;
      return change->apply(weight, strength);
    }
    return weight;
  }
  static at::Tensor pristine(const std::string& weight_name) {
    return recorded().find("weight/" + weight_name)->clone();
  }
  /// What a layer with the changed weights makes of the recorded input.
  static at::Tensor forward(const std::string& kase, const std::string& layer) {
    const auto file = read(kase);
    const at::Tensor x = *recorded().find("input/" + layer);
    const at::Tensor weight = changed(file, layer + ".weight", 1, pristine(layer + ".weight"));
    const at::Tensor bias = changed(file, layer + ".bias", 1, pristine(layer + ".bias"));
    return layer == "linear" ? at::linear(x, weight, bias)
                             : at::conv2d(x, weight, bias, 1, at::IntArrayRef{1, 1});
  }
  support::TempDir dir_;
};

TEST_F(LibraryAdapters, MakeTheWeightsAndStacksThatComfyUiMakes) {
  std::set<std::string> cases;
  for (const auto& [record, wanted] : records("comfyui")) {
    if (kMoreThanComfyUi.contains(record.kase)) continue;
    cases.insert(record.kase);
    at::Tensor weight = pristine(record.weight);
    std::stringstream stack(record.kase);
    for (std::string kase; std::getline(stack, kase, '+');)
      weight = changed(read_alone(kase), record.weight, record.strength, weight);
    EXPECT_LE(apart(weight, wanted), 2e-6)
        << record.kase << " " << record.weight << " " << record.strength;
  }
  EXPECT_EQ(cases.size(), 24u + 8 + 4) << "lycoris' kinds, peft's, and stacks";
}

TEST_F(LibraryAdapters, RunAsInTheLibraryThatMadeThem) {
  std::set<std::string> cases;
  for (const auto& [record, wanted] : records("output")) {
    if (kUnserved.contains(record.kase)) continue;
    cases.insert(record.kase);
    const double found = apart(forward(record.kase, record.weight), wanted);
    if (kOtherThanLibrary.contains(record.kase))
      EXPECT_GT(found, 1e-2) << record.kase << ": " << kOtherThanLibrary.at(record.kase);
    else
      EXPECT_LE(found, 2e-6) << record.kase << " " << record.weight;
  }
  EXPECT_EQ(cases.size(), 24u + 8);
}

TEST_F(LibraryAdapters, OfPeftAreMergedAsItMergesThemByTheConfigBesideThem) {
  std::set<std::string> cases;
  for (const auto& [record, wanted] : records("library")) {
    if (!is_peft(record.kase) || kUnserved.contains(record.kase)) continue;
    cases.insert(record.kase);
    const at::Tensor weight = changed(read(record.kase), record.weight, 1, pristine(record.weight));
    EXPECT_LE(apart(weight, wanted), 2e-6) << record.kase << " " << record.weight;
    EXPECT_GT(
        apart(changed(read_alone(record.kase), record.weight, 1, pristine(record.weight)), wanted),
        1e-3)
        << record.kase << ": without the config its scale is 1, as in ComfyUI";
  }
  EXPECT_EQ(cases.size(), 8u);
}

TEST_F(LibraryAdapters, OfKindsThatAreNotServedAreRefusedByName) {
  EXPECT_THAT(read("ia3").status().to_string(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("is an adapter's")));
  for (const auto& [kase, name] : std::map<std::string, std::string>{{"peft_oft", "OFT"},
                                                                     {"peft_boft", "BOFT"},
                                                                     {"peft_adalora", "ADALORA"},
                                                                     {"peft_ia3", "IA3"}}) {
    EXPECT_THAT(read(kase).status().to_string(),
                AllOf(HasSubstr("UNIMPLEMENTED"), HasSubstr("adapter_config.json"),
                      HasSubstr("'peft_type' is '" + name + "'")));
  }
}

}  // namespace
}  // namespace luna::worker
