#include "daemon/worker/models/autoencoder_names.h"

#include <array>
#include <regex>
#include <utility>

#include <fmt/format.h>

namespace luna::worker {
namespace {

/// The rest of a residual block's name; diffusers calls only the shortcut differently.
std::string res_part(const std::string& rest) {
  constexpr std::string_view kShortcut = "conv_shortcut.";
  return rest.starts_with(kShortcut) ? "nin_shortcut." + rest.substr(kShortcut.size()) : rest;
}

std::string attention_part(const std::string& rest) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kParts = {{
      {"group_norm.", "norm."},
      {"to_q.", "q."},
      {"to_k.", "k."},
      {"to_v.", "v."},
      {"to_out.0.", "proj_out."},
      {"query.", "q."},
      {"key.", "k."},
      {"value.", "v."},
      {"proj_attn.", "proj_out."},
  }};
  for (const auto& [theirs, ours] : kParts)
    if (rest.starts_with(theirs)) return std::string(ours) + rest.substr(theirs.size());
  return {};
}

}  // namespace

std::string autoencoder_name_from_diffusers(const std::string& name, std::size_t levels) {
  constexpr std::size_t kLongestName = 256;
  if (name.size() > kLongestName) return {};
  if (name.starts_with("quant_conv.") || name.starts_with("post_quant_conv.")) return name;
  static const std::regex kLevel(
      R"((encoder|decoder)\.(down|up)_blocks\.(\d{1,2})\.(resnets|downsamplers|upsamplers)\.(\d{1,2})\.(.+))");
  static const std::regex kMiddle(
      R"((encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d{1,2})\.(.+))");
  static const std::regex kEnds(
      R"((encoder|decoder)\.(conv_in|conv_out|conv_norm_out)\.(weight|bias))");
  std::smatch match;
  if (std::regex_match(name, match, kLevel)) {
    const std::string half = match[1], way = match[2], kind = match[4], rest = match[6];
    std::size_t level = std::stoul(match[3]);
    if (level >= levels) return {};
    if (way == "up") level = levels - 1 - level;
    if (kind == "resnets")
      return fmt::format("{}.{}.{}.block.{}.{}", half, way, level, match[5].str(), res_part(rest));
    return fmt::format("{}.{}.{}.{}.{}", half, way, level,
                       way == "down" ? "downsample" : "upsample", rest);
  }
  if (std::regex_match(name, match, kMiddle)) {
    const std::string half = match[1], rest = match[4];
    if (match[2] == "attentions") {
      const std::string part = attention_part(rest);
      return part.empty() ? part : half + ".mid.attn_1." + part;
    }
    return fmt::format("{}.mid.block_{}.{}", half, std::stoul(match[3]) + 1, res_part(rest));
  }
  if (std::regex_match(name, match, kEnds)) {
    const std::string part = match[2] == "conv_norm_out" ? "norm_out" : match[2].str();
    return fmt::format("{}.{}.{}", match[1].str(), part, match[3].str());
  }
  return {};
}

}  // namespace luna::worker
