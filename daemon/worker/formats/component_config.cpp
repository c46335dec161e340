#include "daemon/worker/formats/component_config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

namespace luna::worker {
namespace {

using Json = nlohmann::json;
using Metadata = std::map<std::string, std::string>;

constexpr std::size_t kMostLevels = 16;
constexpr std::int64_t kLargest = 65536;

Result<Json> object_of(std::string_view json) {
  if (json.size() > kMaxComponentConfig) {
    return error(StatusCode::kInvalidArgument, "{} bytes long; at most {} are read", json.size(),
                 kMaxComponentConfig);
  }
  Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_object()) return parsed;
  return error(StatusCode::kInvalidArgument, "expected a JSON object, found {}",
               parsed.is_discarded() ? "no JSON" : parsed.type_name());
}

std::string text_of(const Json& config, const char* field) {
  const auto found = config.find(field);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string class_of(const Json& config) {
  if (std::string name = text_of(config, "_class_name"); !name.empty()) return name;
  const auto found = config.find("architectures");
  const bool named =
      found != config.end() && found->is_array() && !found->empty() && found->front().is_string();
  return named ? found->front().get<std::string>() : std::string();
}

/// A whole number, or a list of them, as a list; empty where there is none or null.
Result<std::vector<std::int64_t>> numbers_of(const Json& config, const char* field) {
  std::vector<std::int64_t> numbers;
  const auto found = config.find(field);
  if (found == config.end() || found->is_null()) return numbers;
  const Json list = found->is_array() ? *found : Json::array({*found});
  for (const Json& item : list) {
    const bool small = item.is_number_integer() && item >= 1 && item <= kLargest;
    if (!small || numbers.size() == kMostLevels) {
      return error(StatusCode::kInvalidArgument,
                   "'{}': expected a whole number from 1 to {}, or up to {} of them, found {}",
                   field, kLargest, kMostLevels, found->dump().substr(0, 80));
    }
    numbers.push_back(item.get<std::int64_t>());
  }
  return numbers;
}

bool all_equal(const std::vector<std::int64_t>& numbers) {
  return std::ranges::adjacent_find(numbers, std::ranges::not_equal_to()) == numbers.end();
}

/// diffusers calls the number of heads "attention_head_dim", and "num_attention_heads" where that
/// is given.
Status read_heads(const Json& config, Metadata& metadata) {
  LUNA_ASSIGN_OR_RETURN(std::vector<std::int64_t> heads, numbers_of(config, "num_attention_heads"));
  if (heads.empty()) {
    LUNA_ASSIGN_OR_RETURN(heads, numbers_of(config, "attention_head_dim"));
  }
  if (heads.empty()) return {};
  if (all_equal(heads)) {
    metadata["luna.unet.heads"] = std::to_string(heads.front());
    return {};
  }
  LUNA_ASSIGN_OR_RETURN(const auto widths, numbers_of(config, "block_out_channels"));
  std::vector<std::int64_t> head_widths;
  for (std::size_t i = 0; i < std::min(heads.size(), widths.size()); ++i)
    head_widths.push_back(widths[i] % heads[i] == 0 ? widths[i] / heads[i] : 0);
  if (widths.size() != heads.size() || !all_equal(head_widths) || head_widths.front() == 0) {
    return error(StatusCode::kUnimplemented,
                 "'attention_head_dim': expected as many heads at every level, or heads of one "
                 "width, found other numbers");
  }
  metadata["luna.unet.head_width"] = std::to_string(head_widths.front());
  return {};
}

Status read_unet(const Json& config, Metadata& metadata) {
  constexpr std::int64_t kGroups = 32;
  constexpr std::array<const char*, 4> kNotServed = {"class_embed_type", "encoder_hid_dim_type",
                                                     "time_cond_proj_dim", "time_embedding_act_fn"};
  for (const char* field : kNotServed) {
    const auto found = config.find(field);
    if (found == config.end() || found->is_null()) continue;
    return error(StatusCode::kUnimplemented, "a UNet with '{}' {} is not served", field,
                 found->dump().substr(0, 80));
  }
  LUNA_ASSIGN_OR_RETURN(const auto groups, numbers_of(config, "norm_num_groups"));
  if (!groups.empty() && groups.front() != kGroups) {
    return error(StatusCode::kUnimplemented,
                 "'norm_num_groups': UNets of {} groups are served, found {}", kGroups,
                 groups.front());
  }
  return read_heads(config, metadata);
}

Status read_autoencoder(const Json& config, Metadata& metadata) {
  LUNA_ASSIGN_OR_RETURN(const auto groups, numbers_of(config, "norm_num_groups"));
  if (!groups.empty()) metadata["luna.vae.groups"] = std::to_string(groups.front());
  return {};
}

Status read_text_encoder(const Json& config, Metadata& metadata) {
  const std::string activation = text_of(config, "hidden_act");
  const bool exact = activation == "gelu";
  if (!exact && !activation.empty() && activation != "quick_gelu") {
    return error(StatusCode::kUnimplemented,
                 "'hidden_act': CLIP text models with quick_gelu or gelu are served, found '{}'",
                 activation.substr(0, 80));
  }
  LUNA_ASSIGN_OR_RETURN(const auto heads, numbers_of(config, "num_attention_heads"));
  if (!heads.empty())
    metadata[exact ? "luna.clip_g.heads" : "luna.clip_l.heads"] = std::to_string(heads.front());
  return {};
}

}  // namespace

Result<Metadata> component_metadata(std::string_view json) {
  LUNA_ASSIGN_OR_RETURN(const Json config, object_of(json));
  const std::string name = class_of(config);
  Metadata metadata;
  if (name == "UNet2DConditionModel") LUNA_RETURN_IF_ERROR(read_unet(config, metadata));
  if (name == "AutoencoderKL") LUNA_RETURN_IF_ERROR(read_autoencoder(config, metadata));
  if (name == "CLIPTextModel" || name == "CLIPTextModelWithProjection")
    LUNA_RETURN_IF_ERROR(read_text_encoder(config, metadata));
  return metadata;
}

Status check_scheduler_config(std::string_view json) {
  LUNA_ASSIGN_OR_RETURN(const Json config, object_of(json));
  const std::string name = text_of(config, "_class_name");
  if (name.starts_with("EDM")) {
    return error(StatusCode::kUnimplemented,
                 "'_class_name': models of EDM noise are not served, found '{}'",
                 name.substr(0, 80));
  }
  const std::string prediction = text_of(config, "prediction_type");
  if (prediction.empty() || prediction == "epsilon") return {};
  return error(StatusCode::kUnimplemented,
               "'prediction_type': a model that predicts noise ('epsilon') is served, found '{}'",
               prediction.substr(0, 80));
}

}  // namespace luna::worker
