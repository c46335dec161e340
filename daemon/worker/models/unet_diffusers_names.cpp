#include "daemon/worker/models/unet_diffusers_names.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;  // ldm's, diffusers'

constexpr std::array<Pair, 6> kResBlockParts = {{{"in_layers.0", "norm1"},
                                                 {"in_layers.2", "conv1"},
                                                 {"emb_layers.1", "time_emb_proj"},
                                                 {"out_layers.0", "norm2"},
                                                 {"out_layers.3", "conv2"},
                                                 {"skip_connection", "conv_shortcut"}}};

constexpr std::array<Pair, 7> kOutsideBlocks = {{{"input_blocks.0.0", "conv_in"},
                                                 {"time_embed.0", "time_embedding.linear_1"},
                                                 {"time_embed.2", "time_embedding.linear_2"},
                                                 {"label_emb.0.0", "add_embedding.linear_1"},
                                                 {"label_emb.0.2", "add_embedding.linear_2"},
                                                 {"out.0", "conv_norm_out"},
                                                 {"out.2", "conv_out"}}};

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

/// A stage for every residual block of diffusers' block `block` ("down_blocks.1").
std::vector<UNetConfig::Stage> res_blocks_of(const TensorDirectory& file, const std::string& block,
                                             int level) {
  std::vector<UNetConfig::Stage> stages;
  const std::int64_t count = count_indexed(file, block + ".resnets.", ".conv1.weight");
  for (std::int64_t i = 0; i < count; ++i) {
    const bool attends = file.has(fmt::format("{}.attentions.{}.norm.weight", block, i));
    stages.push_back({.level = level, .transformer_depth = attends ? 1 : 0});
  }
  return stages;
}

}  // namespace

UNetLayerNames::UNetLayerNames(const UNetConfig& config) {
  for (const auto& [ldm, diffusers] : kOutsideBlocks)
    places_.push_back({std::string(ldm), std::string(diffusers), Kind::kLayer});
  for (std::size_t i = 0; i < config.input.size(); ++i) {
    const UNetConfig::Stage& stage = config.input[i];
    const std::string ldm = fmt::format("input_blocks.{}", i + 1);
    const std::string block = fmt::format("down_blocks.{}", stage.level);
    if (stage.resamples) {
      places_.push_back({ldm + ".0.op", block + ".downsamplers.0.conv", Kind::kLayer});
      continue;
    }
    const std::size_t index = index_in_level(config.input, i, true);
    places_.push_back({ldm + ".0", fmt::format("{}.resnets.{}", block, index), Kind::kResBlock});
    places_.push_back(
        {ldm + ".1", fmt::format("{}.attentions.{}", block, index), Kind::kTransformer});
  }
  places_.push_back({"middle_block.0", "mid_block.resnets.0", Kind::kResBlock});
  places_.push_back({"middle_block.1", "mid_block.attentions.0", Kind::kTransformer});
  places_.push_back({"middle_block.2", "mid_block.resnets.1", Kind::kResBlock});
  for (std::size_t i = 0; i < config.output.size(); ++i) {
    const UNetConfig::Stage& stage = config.output[i];
    const bool attends = stage.transformer_depth > 0;
    const std::string ldm = fmt::format("output_blocks.{}", i);
    const std::string block =
        fmt::format("up_blocks.{}", config.output.front().level - stage.level);
    const std::size_t index = index_in_level(config.output, i, false);
    places_.push_back({ldm + ".0", fmt::format("{}.resnets.{}", block, index), Kind::kResBlock});
    if (attends)
      places_.push_back(
          {ldm + ".1", fmt::format("{}.attentions.{}", block, index), Kind::kTransformer});
    if (stage.resamples)
      places_.push_back(
          {ldm + (attends ? ".2.conv" : ".1.conv"), block + ".upsamplers.0.conv", Kind::kLayer});
  }
}

std::string UNetLayerNames::renamed(std::string_view layer, Side from, Side to) const {
  for (const Place& place : places_) {
    const std::string& own = place.*from;
    if (!layer.starts_with(own)) continue;
    if (place.kind == Kind::kLayer) {
      if (layer.size() == own.size()) return place.*to;
      continue;
    }
    if (layer.size() <= own.size() + 1 || layer[own.size()] != '.') continue;
    const std::string_view part = layer.substr(own.size() + 1);
    if (place.kind == Kind::kTransformer) return fmt::format("{}.{}", place.*to, part);
    const bool to_diffusers = to == &Place::diffusers;
    for (const auto& [ldm, diffusers] : kResBlockParts) {
      if (part == (to_diffusers ? ldm : diffusers))
        return fmt::format("{}.{}", place.*to, to_diffusers ? diffusers : ldm);
    }
  }
  return "";
}

std::string UNetLayerNames::to_diffusers(std::string_view ldm_layer) const {
  return renamed(ldm_layer, &Place::ldm, &Place::diffusers);
}

std::string UNetLayerNames::to_ldm(std::string_view diffusers_layer) const {
  return renamed(diffusers_layer, &Place::diffusers, &Place::ldm);
}

UNetConfig stages_of_diffusers_unet(const TensorDirectory& file, const std::string& prefix) {
  UNetConfig config;
  const auto levels =
      static_cast<int>(count_indexed(file, prefix + "down_blocks.", ".resnets.0.conv1.weight"));
  for (int level = 0; level < levels; ++level) {
    const std::string block = fmt::format("{}down_blocks.{}", prefix, level);
    for (const UNetConfig::Stage& stage : res_blocks_of(file, block, level))
      config.input.push_back(stage);
    if (file.has(block + ".downsamplers.0.conv.weight"))
      config.input.push_back({.level = level, .resamples = true});
  }
  for (int level = levels; level-- > 0;) {
    const std::string block = fmt::format("{}up_blocks.{}", prefix, levels - 1 - level);
    const std::size_t before = config.output.size();
    for (const UNetConfig::Stage& stage : res_blocks_of(file, block, level))
      config.output.push_back(stage);
    if (config.output.size() > before && file.has(block + ".upsamplers.0.conv.weight"))
      config.output.back().resamples = true;
  }
  return config;
}

}  // namespace luna::worker
