#include "daemon/worker/models/unet_config.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "daemon/worker/models/model_shapes.h"

namespace luna::worker {
namespace {

constexpr std::int64_t kGroups = 32;

std::string indexed(const char* stem, std::size_t index) {
  return std::string(stem) + "." + std::to_string(index);
}

int transformer_depth(const TensorDirectory& component, const std::string& transformer) {
  return static_cast<int>(
      count_indexed(component, transformer + ".transformer_blocks.", ".norm1.weight"));
}

/// The first transformer found tells the context's width and the kind of the projections.
void note_transformer(const TensorDirectory& component, const std::string& transformer,
                      UNetConfig& config) {
  if (config.context_width != 0) return;
  config.context_width =
      extent(component, transformer + ".transformer_blocks.0.attn2.to_k.weight", 1);
  config.linear_projections = component.has(transformer + ".proj_in.weight") &&
                              component.shape(transformer + ".proj_in.weight").size() == 2;
}

Status read_input(const TensorDirectory& component, UNetConfig& config) {
  std::int64_t channels = config.model_channels;
  int level = 0;
  for (std::size_t i = 1;; ++i) {
    const std::string name = indexed("input_blocks", i);
    UNetConfig::Stage stage{.in = channels, .out = channels, .level = level};
    if (component.has(name + ".0.op.weight")) {
      stage.resamples = true;
      ++level;
    } else if (component.has(name + ".0.in_layers.0.weight")) {
      stage.out = extent(component, name + ".0.out_layers.3.weight", 0);
      stage.transformer_depth = transformer_depth(component, name + ".1");
      if (stage.transformer_depth > 0) note_transformer(component, name + ".1", config);
    } else {
      break;
    }
    channels = stage.out;
    config.input.push_back(stage);
  }
  if (config.input.empty())
    return error(StatusCode::kInvalidArgument,
                 "UNet without blocks: expected 'input_blocks.1.0.in_layers.0.weight'");
  return {};
}

void read_middle(const TensorDirectory& component, UNetConfig& config) {
  const UNetConfig::Stage& last = config.input.back();
  config.middle_stage = {.in = last.out,
                         .out = last.out,
                         .level = last.level + (last.resamples ? 1 : 0),
                         .transformer_depth = transformer_depth(component, "middle_block.1")};
  if (!component.has("middle_block.0.in_layers.0.weight"))
    config.middle = UNetConfig::Middle::kNone;
  else if (!component.has("middle_block.1.proj_in.weight"))
    config.middle = UNetConfig::Middle::kResBlock;
  if (config.middle_stage.transformer_depth > 0)
    note_transformer(component, "middle_block.1", config);
}

Status read_output(const TensorDirectory& component, UNetConfig& config) {
  std::int64_t channels = config.middle_stage.out;
  for (std::size_t i = 0; i <= config.input.size(); ++i) {
    const std::string name = indexed("output_blocks", i);
    if (!component.has(name + ".0.in_layers.0.weight"))
      return error(StatusCode::kInvalidArgument,
                   "UNet with {} input blocks should have as many output blocks; expected "
                   "'{}.0.in_layers.0.weight', found no such tensor",
                   config.input.size() + 1, name);
    const std::size_t skip = config.input.size() - i;  // counts the first convolution as 0
    const std::int64_t skip_channels =
        skip == 0 ? config.model_channels : config.input[skip - 1].out;
    UNetConfig::Stage stage{.in = channels + skip_channels,
                            .out = extent(component, name + ".0.out_layers.3.weight", 0)};
    stage.level = skip == 0 ? 0 : config.input[skip - 1].level;
    if (skip > 0 && config.input[skip - 1].resamples) ++stage.level;
    stage.transformer_depth = transformer_depth(component, name + ".1");
    if (stage.transformer_depth > 0) note_transformer(component, name + ".1", config);
    stage.resamples =
        component.has(name + ".1.conv.weight") || component.has(name + ".2.conv.weight");
    channels = stage.out;
    config.output.push_back(stage);
  }
  return {};
}

Status check_width(const UNetConfig& config, const UNetConfig::Stage& stage) {
  if (stage.in < 1 || stage.out < 1 || stage.in % kGroups != 0 || stage.out % kGroups != 0)
    return error(StatusCode::kInvalidArgument,
                 "UNet widths should be positive multiples of {}, found a block from {} to {} "
                 "channels",
                 kGroups, stage.in, stage.out);
  if (stage.transformer_depth == 0) return {};
  const std::int64_t divisor = config.heads > 0 ? config.heads : config.head_width;
  if (stage.out % divisor != 0)
    return error(StatusCode::kInvalidArgument,
                 "{} channels of a UNet transformer cannot be divided by {} {}", stage.out, divisor,
                 config.heads > 0 ? "heads" : "channels a head");
  return {};
}

/// One number a level, of the stages for which `read` answers.
template <class Read>
std::vector<std::int64_t> by_level(const std::vector<UNetConfig::Stage>& stages, Read read) {
  std::vector<std::int64_t> values;
  for (const UNetConfig::Stage& stage : stages) {
    if (stage.resamples) continue;
    if (values.size() <= static_cast<std::size_t>(stage.level))
      values.resize(static_cast<std::size_t>(stage.level) + 1);
    read(stage, values[static_cast<std::size_t>(stage.level)]);
  }
  return values;
}

}  // namespace

Result<UNetConfig> UNetConfig::detect(const TensorDirectory& component) {
  UNetConfig config;
  config.model_channels = extent(component, "input_blocks.0.0.weight", 0);
  config.in_channels = extent(component, "input_blocks.0.0.weight", 1);
  config.out_channels = extent(component, "out.2.weight", 0);
  config.embedding_width = extent(component, "time_embed.0.weight", 0);
  config.adm_channels = extent(component, "label_emb.0.0.weight", 1);
  if (config.model_channels == 0 || config.in_channels == 0 || config.out_channels == 0)
    return error(
        StatusCode::kInvalidArgument,
        "not an ldm UNet: expected 'input_blocks.0.0.weight' of 4 axes and 'out.2.weight'");
  LUNA_RETURN_IF_ERROR(read_input(component, config));
  read_middle(component, config);
  LUNA_RETURN_IF_ERROR(read_output(component, config));
  if (config.context_width == 0)
    return error(
        StatusCode::kInvalidArgument,
        "UNet without cross-attention: expected '...transformer_blocks.0.attn2.to_k.weight' "
        "in some block, found none");

  LUNA_ASSIGN_OR_RETURN(const auto heads, metadata_number(component, "luna.unet.heads"));
  LUNA_ASSIGN_OR_RETURN(const auto head_width, metadata_number(component, "luna.unet.head_width"));
  if (heads.has_value()) {
    config.heads = *heads;
  } else if (head_width.has_value()) {
    config.heads = 0;
    config.head_width = *head_width;
  } else if (config.adm_channels > 0 ||
             (config.linear_projections && config.context_width == 1024)) {
    config.heads = 0;
    config.head_width = 64;
  }
  for (const auto& stages : {config.input, config.output, {config.middle_stage}})
    for (const Stage& stage : stages) LUNA_RETURN_IF_ERROR(check_width(config, stage));
  return config;
}

std::string UNetConfig::describe() const {
  const auto mult = by_level(
      input, [&](const Stage& stage, std::int64_t& value) { value = stage.out / model_channels; });
  const auto blocks = by_level(input, [](const Stage&, std::int64_t& value) { ++value; });
  const auto depth = by_level(input, [](const Stage& stage, std::int64_t& value) {
    value = std::max<std::int64_t>(value, stage.transformer_depth);
  });
  return fmt::format("{} channels x {}, blocks {}, transformers {}, context {}, {} {}",
                     model_channels, fmt::join(mult, ","), fmt::join(blocks, ","),
                     fmt::join(depth, ","), context_width, heads > 0 ? heads : head_width,
                     heads > 0 ? "heads" : "channels a head");
}

}  // namespace luna::worker
