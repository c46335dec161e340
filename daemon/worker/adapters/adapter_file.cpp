#include "daemon/worker/adapters/adapter_file.h"

#include <algorithm>
#include <array>

#include "daemon/worker/adapters/adapter_parts.h"
#include "daemon/worker/formats/pickle.h"
#include "daemon/worker/formats/safetensors_file.h"
#include "daemon/worker/ops/scalar_types.h"

namespace luna::worker {
namespace {

struct Ending {
  std::string_view text, part;
};
/// How tensors end that belong to an adapter, and what they are. A longer ending stands before one
/// that it ends with.
constexpr std::array<Ending, 46> kEndings = {{
    {".lora_linear_layer.up.weight", "up"},
    {".lora_linear_layer.down.weight", "down"},
    {".lora_B.default.weight", "up"},
    {".lora_A.default.weight", "down"},
    {".lora_up.weight", "up"},
    {".lora_down.weight", "down"},
    {".lora_mid.weight", "mid"},
    {"_lora.up.weight", "up"},
    {"_lora.down.weight", "down"},
    {".lora.up.weight", "up"},
    {".lora.down.weight", "down"},
    {".lora_B.weight", "up"},
    {".lora_A.weight", "down"},
    {".lora_B", "up"},
    {".lora_A", "down"},
    {".lora_magnitude_vector.default.weight", "magnitude_vector"},
    {".lora_magnitude_vector.weight", "magnitude_vector"},
    {".lora_magnitude_vector", "magnitude_vector"},
    {".hada_w1_a", "hada_w1_a"},
    {".hada_w1_b", "hada_w1_b"},
    {".hada_w2_a", "hada_w2_a"},
    {".hada_w2_b", "hada_w2_b"},
    {".hada_t1", "hada_t1"},
    {".hada_t2", "hada_t2"},
    {".lokr_w1_a", "lokr_w1_a"},
    {".lokr_w1_b", "lokr_w1_b"},
    {".lokr_w2_a", "lokr_w2_a"},
    {".lokr_w2_b", "lokr_w2_b"},
    {".lokr_w1", "lokr_w1"},
    {".lokr_w2", "lokr_w2"},
    {".lokr_t2", "lokr_t2"},
    {".a1.weight", "a1"},
    {".a2.weight", "a2"},
    {".b1.weight", "b1"},
    {".b2.weight", "b2"},
    {".oft_blocks", "oft_blocks"},
    {".rescale", "rescale"},
    {".diff", "diff"},
    {".diff_b", "diff_b"},
    {".w_norm", "w_norm"},
    {".b_norm", "b_norm"},
    {".set_weight", "set_weight"},
    {".alpha", "alpha"},
    {".dora_scale", "dora_scale"},
    {".reshape_weight", "reshape_weight"},
    {".bias_diff", "diff_b"},
}};

/// Tells a file whose tensors are all known endings of something else: these come only beside
/// others.
bool is_accessory(std::string_view part) { return part == "alpha" || part == "rescale"; }

Result<at::Tensor> read_tensor(const SafetensorsFile& file, const SafetensorsEntry& entry) {
  const at::Tensor raw =
      at::empty(entry.spec.shape, at::TensorOptions().dtype(scalar_type_of(entry.spec.dtype)));
  LUNA_RETURN_IF_ERROR(
      file.read(entry, 0, {static_cast<std::byte*>(raw.data_ptr()), raw.nbytes()}));
  return raw;
}

using Maker = Result<WeightChangePtr> (*)(const AdapterParts&);

/// nullptr: the layer has none of the kinds that are worked out from parts.
Maker maker_for(const AdapterParts& parts) {
  if (parts.has("up") || parts.has("down")) return make_low_rank;
  if (parts.has("hada_w1_a") || parts.has("hada_w2_a")) return make_hadamard;
  if (parts.has("lokr_w1") || parts.has("lokr_w1_a")) return make_kronecker;
  if (parts.has("a1") || parts.has("b1")) return make_glora;
  if (parts.has("oft_blocks")) {
    return parts.find("oft_blocks").dim() == 4 ? make_boft : make_oft;
  }
  return nullptr;
}

/// Of several kinds for one weight the last of this order is taken, as ComfyUI does
/// (comfy/lora.py: load_lora).
Result<AdapterFile::Layer> layer_from(const AdapterParts& parts) {
  const bool has_magnitude = parts.has("magnitude_vector");
  if (parts.has("reshape_weight") || (has_magnitude && !parts.has("up"))) {
    return error(StatusCode::kUnimplemented, "layer '{}': '{}' is not served", parts.layer,
                 has_magnitude ? "magnitude_vector without LoRA" : "reshape_weight");
  }
  AdapterFile::Layer layer;
  if (const Maker make = maker_for(parts)) {
    LUNA_ASSIGN_OR_RETURN(layer.weight, make(parts));
  }
  for (const char* part : {"w_norm", "diff"}) {
    if (parts.has(part)) layer.weight = make_difference(parts.find(part));
  }
  for (const char* part : {"b_norm", "diff_b"}) {
    if (parts.has(part)) layer.bias = make_difference(parts.find(part));
  }
  if (parts.has("set_weight")) layer.weight = make_replacement(parts.find("set_weight"));
  if (!layer.weight && !layer.bias) {
    return parts.wrong(fmt::format("'{}' alone makes no adapter", parts.tensors.begin()->first));
  }
  return layer;
}

}  // namespace

Result<AdapterFile> make_adapter(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                                 const std::optional<PeftConfig>& config) {
  AdapterFile adapter;
  std::map<std::string, AdapterParts> layers;
  bool has_change = false;
  for (const auto& [name, tensor] : tensors) {
    const auto ending =
        std::ranges::find_if(kEndings, [&](const Ending& one) { return name.ends_with(one.text); });
    if (ending == kEndings.end()) {
      adapter.unknown.push_back(name);
      continue;
    }
    const std::string layer = name.substr(0, name.size() - ending->text.size());
    AdapterParts& parts = layers[layer];
    parts.layer = layer;
    adapter.bytes += tensor.nbytes();
    has_change = has_change || !is_accessory(ending->part);
    if (!parts.tensors.emplace(ending->part, tensor).second) {
      return parts.wrong(fmt::format("'{}' comes twice", ending->part));
    }
  }
  if (!has_change) {
    return error(StatusCode::kInvalidArgument,
                 "none of its {} tensors is an adapter's (such as '*.lora_up.weight', "
                 "'*.lora_A.weight', '*.hada_w1_a', '*.lokr_w1', '*.diff'); the first is '{}'",
                 tensors.size(), tensors.empty() ? "" : tensors.front().first);
  }
  for (auto& [name, parts] : layers) {
    if (config) parts.scale = config->scale(name);
    LUNA_ASSIGN_OR_RETURN(AdapterFile::Layer layer, layer_from(parts));
    adapter.layers.emplace(name, std::move(layer));
  }
  return adapter;
}

Result<AdapterFile> read_adapter(const std::string& path) {
  LUNA_RETURN_IF_ERROR(refuse_pickle(path, "adapters"));
  LUNA_ASSIGN_OR_RETURN(const std::optional<PeftConfig> config, PeftConfig::beside(path));
  LUNA_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(path));
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const SafetensorsEntry& entry : file.header().entries) {
    LUNA_ASSIGN_OR_RETURN(at::Tensor tensor, read_tensor(file, entry));
    tensors.emplace_back(entry.name, std::move(tensor));
  }
  LUNA_RETURN_IF_ERROR(file.check_unchanged());
  auto adapter = make_adapter(tensors, config);
  LUNA_RETURN_IF_ERROR(adapter.status().with_context(path));
  return adapter;
}

}  // namespace luna::worker
