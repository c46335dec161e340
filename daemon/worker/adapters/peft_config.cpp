#include "daemon/worker/adapters/peft_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

namespace luna::worker {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAdapter = "adapter_model.safetensors";
constexpr std::string_view kConfig = "adapter_config.json";
constexpr std::uintmax_t kLargestConfig = 1 << 20;

/// Empty when the adapter is none of PEFT's or has no config.
std::string config_of(const std::string& adapter) {
  const std::filesystem::path path(adapter);
  if (path.filename() != kAdapter) return "";
  std::string config = path.parent_path() / kConfig;
  std::error_code ignored;
  return std::filesystem::exists(config, ignored) ? config : "";
}

Status wrong(const std::string& what) { return error(StatusCode::kInvalidArgument, "{}", what); }
Status unserved(const std::string& what) { return error(StatusCode::kUnimplemented, "{}", what); }

Result<double> positive(const Json& value, const std::string& name) {
  const double number = value.is_number() ? value.get<double>() : -1;
  if (std::isfinite(number) && number > 0) return number;
  return wrong(fmt::format("'{}' is {}; expected a number above 0", name, value.dump()));
}

Result<double> positive_of(const Json& config, const char* name) {
  const auto found = config.find(name);
  if (found == config.end()) return wrong(fmt::format("expected '{}', found none", name));
  return positive(*found, name);
}

Result<std::vector<std::pair<std::string, double>>> pattern_of(const Json& config,
                                                               const char* name) {
  std::vector<std::pair<std::string, double>> pattern;
  const auto found = config.find(name);
  if (found == config.end() || found->is_null()) return pattern;
  if (!found->is_object()) return wrong(fmt::format("'{}' is no object", name));
  for (const auto& [key, value] : found->items()) {
    const bool plain = std::ranges::all_of(key, [](unsigned char letter) {
      return std::isalnum(letter) != 0 || letter == '.' || letter == '_' || letter == '-';
    });
    if (!plain || key.empty()) {
      return unserved(
          fmt::format("'{}' has '{}'; expected the end of a layer's path, not a regular expression",
                      name, key));
    }
    LUNA_ASSIGN_OR_RETURN(const double number, positive(value, fmt::format("{}.{}", name, key)));
    pattern.emplace_back(key, number);
  }
  return pattern;
}

double value_for(std::string_view layer, const std::vector<std::pair<std::string, double>>& pattern,
                 double usual) {
  for (const auto& [end, value] : pattern) {
    if (!layer.ends_with(end)) continue;
    const std::size_t before = layer.size() - end.size();
    if (before == 0 || layer[before - 1] == '.') return value;
  }
  return usual;
}

/// PiSSA, OLoRA, CorDA and LoftQ train against base weights of their own.
Status check_base(const Json& config) {
  const auto found = config.find("init_lora_weights");
  if (found == config.end() || !found->is_string()) return {};
  const auto method = found->get<std::string>();
  constexpr std::array<std::string_view, 4> kOwnBase = {"pissa", "olora", "corda", "loftq"};
  const bool own_base = std::ranges::any_of(
      kOwnBase, [&](std::string_view name) { return method.starts_with(name); });
  if (!own_base) return {};
  return unserved(
      fmt::format("'init_lora_weights' is '{}', so it belongs to base weights other than the "
                  "model's; save it again with PEFT's path_initial_model_for_weight_conversion",
                  method));
}

}  // namespace

Result<PeftConfig> PeftConfig::parse(std::string_view json) {
  const Json config = Json::parse(json, nullptr, false);
  if (!config.is_object()) return wrong("expected an object in JSON");
  const auto type = config.find("peft_type");
  if (type == config.end() || !type->is_string()) return wrong("expected 'peft_type'");
  const auto kind = type->get<std::string>();
  const bool lora = kind == "LORA";
  if (!lora && kind != "LOHA" && kind != "LOKR") {
    return unserved(
        fmt::format("'peft_type' is '{}'; this version serves LORA, LOHA and LOKR", kind));
  }
  LUNA_RETURN_IF_ERROR(check_base(config));
  PeftConfig read;
  LUNA_ASSIGN_OR_RETURN(read.alpha_, positive_of(config, lora ? "lora_alpha" : "alpha"));
  LUNA_ASSIGN_OR_RETURN(read.rank_, positive_of(config, "r"));
  LUNA_ASSIGN_OR_RETURN(read.alphas_, pattern_of(config, "alpha_pattern"));
  LUNA_ASSIGN_OR_RETURN(read.ranks_, pattern_of(config, "rank_pattern"));
  const auto stabilised = config.find("use_rslora");
  read.stabilised_ = stabilised != config.end() && *stabilised == true;
  return read;
}

Result<std::optional<PeftConfig>> PeftConfig::beside(const std::string& adapter) {
  const std::string path = config_of(adapter);
  if (path.empty()) return std::optional<PeftConfig>();
  std::error_code failure;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  if (failure || size > kLargestConfig)
    return error(StatusCode::kInvalidArgument, "{}: expected a file of at most 1 MiB", path);
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  auto config = parse(text);
  LUNA_RETURN_IF_ERROR(config.status().with_context(path));
  return std::optional(std::move(config).value());
}

double PeftConfig::scale(std::string_view layer) const {
  const double rank = value_for(layer, ranks_, rank_);
  return value_for(layer, alphas_, alpha_) / (stabilised_ ? std::sqrt(rank) : rank);
}

Result<FileIdentity> identify_adapter(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(FileIdentity file, identify(path));
  const std::string config = config_of(path);
  if (config.empty()) return file;
  LUNA_ASSIGN_OR_RETURN(const FileIdentity beside, identify(config));
  // Both states in one: whatever changes with either changes the sum in all but a freak of clocks.
  constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = 0;
  for (const std::uint64_t part :
       {beside.device, beside.inode, beside.size, static_cast<std::uint64_t>(beside.mtime_ns),
        static_cast<std::uint64_t>(beside.ctime_ns)}) {
    mixed = (mixed ^ part) * kStep;
    mixed ^= mixed >> 32;
  }
  file.ctime_ns ^= static_cast<std::int64_t>(mixed);
  return file;
}

}  // namespace luna::worker
