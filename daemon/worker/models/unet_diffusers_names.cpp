#include "daemon/worker/models/unet_diffusers_names.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace luna::worker {
namespace {

using Renames = std::vector<std::pair<std::string_view, std::string_view>>;

const Renames& of_res_block() {
  static const Renames kNames = {
      {"in_layers.0", "norm1"},  {"in_layers.2", "conv1"},  {"emb_layers.1", "time_emb_proj"},
      {"out_layers.0", "norm2"}, {"out_layers.3", "conv2"}, {"skip_connection", "conv_shortcut"}};
  return kNames;
}

const Renames& outside_blocks() {
  static const Renames kNames = {{"input_blocks.0.0", "conv_in"},
                                 {"time_embed.0", "time_embedding.linear_1"},
                                 {"time_embed.2", "time_embedding.linear_2"},
                                 {"label_emb.0.0", "add_embedding.linear_1"},
                                 {"label_emb.0.2", "add_embedding.linear_2"},
                                 {"out.0", "conv_norm_out"},
                                 {"out.2", "conv_out"}};
  return kNames;
}

std::string_view renamed(const Renames& names, std::string_view name) {
  for (const auto& [ldm, diffusers] : names) {
    if (ldm == name) return diffusers;
  }
  return {};
}

/// Cuts "12." off the front.
std::optional<std::size_t> take_number(std::string_view& text) {
  std::size_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (failed != std::errc() || length >= text.size() || text[length] != '.') return std::nullopt;
  text.remove_prefix(length + 1);
  return number;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::string res_block(const std::string& place, std::size_t index, std::string_view part) {
  const std::string_view name = renamed(of_res_block(), part);
  return name.empty() ? "" : fmt::format("{}.resnets.{}.{}", place, index, name);
}

/// How many stages before `block` lie in its level and are residual blocks.
std::size_t index_in_level(const std::vector<UNetConfig::Stage>& stages, std::size_t block,
                           bool downward) {
  std::size_t index = 0;
  for (std::size_t i = 0; i < block; ++i) {
    const bool res_block = !downward || !stages[i].resamples;
    index += stages[i].level == stages[block].level && res_block;
  }
  return index;
}

std::string input_layer(const UNetConfig& config, std::string_view rest) {
  const auto number = take_number(rest);
  if (!number || *number == 0 || *number > config.input.size()) return "";
  const std::size_t block = *number - 1;
  const UNetConfig::Stage& stage = config.input[block];
  const std::string place = fmt::format("down_blocks.{}", stage.level);
  if (stage.resamples) return rest == "0.op" ? place + ".downsamplers.0.conv" : "";
  const std::size_t index = index_in_level(config.input, block, true);
  if (take_prefix(rest, "0.")) return res_block(place, index, rest);
  if (take_prefix(rest, "1.")) return fmt::format("{}.attentions.{}.{}", place, index, rest);
  return "";
}

std::string middle_layer(std::string_view rest) {
  if (take_prefix(rest, "0.")) return res_block("mid_block", 0, rest);
  if (take_prefix(rest, "2.")) return res_block("mid_block", 1, rest);
  if (take_prefix(rest, "1.")) return fmt::format("mid_block.attentions.0.{}", rest);
  return "";
}

std::string output_layer(const UNetConfig& config, std::string_view rest) {
  const auto block = take_number(rest);
  if (!block || *block >= config.output.size()) return "";
  const UNetConfig::Stage& stage = config.output[*block];
  const int levels = config.output.front().level;
  const std::string place = fmt::format("up_blocks.{}", levels - stage.level);
  const std::size_t index = index_in_level(config.output, *block, false);
  if (take_prefix(rest, "0.")) return res_block(place, index, rest);
  const std::string_view enlarging = stage.transformer_depth > 0 ? "2.conv" : "1.conv";
  if (stage.resamples && rest == enlarging) return place + ".upsamplers.0.conv";
  if (stage.transformer_depth > 0 && take_prefix(rest, "1."))
    return fmt::format("{}.attentions.{}.{}", place, index, rest);
  return "";
}

}  // namespace

std::string diffusers_layer_name(const UNetConfig& config, const std::string& layer) {
  if (const std::string_view name = renamed(outside_blocks(), layer); !name.empty())
    return std::string(name);
  std::string_view rest = layer;
  if (take_prefix(rest, "input_blocks.")) return input_layer(config, rest);
  if (take_prefix(rest, "middle_block.")) return middle_layer(rest);
  if (take_prefix(rest, "output_blocks.")) return output_layer(config, rest);
  return "";
}

}  // namespace luna::worker
