#include "client/cli/lora_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace luna::client {
namespace {

constexpr std::string_view kTag = "<lora:";
constexpr std::string_view kTo = "..";
constexpr std::string_view kEnding = ".safetensors";

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::vector<std::string_view> pieces_of(std::string_view text, char at) {
  std::vector<std::string_view> pieces;
  for (std::size_t end; (end = text.find(at)) != std::string_view::npos;) {
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  pieces.push_back(text);
  return pieces;
}

std::optional<LoraStrength> strength(std::string_view text) {
  if (const auto value = number(text)) return LoraStrength{*value, *value, {}};
  if (const std::size_t dots = text.find(kTo); dots != std::string_view::npos) {
    const auto lowest = number(text.substr(0, dots)),
               highest = number(text.substr(dots + kTo.size()));
    if (!lowest || !highest) return std::nullopt;
    return LoraStrength{*lowest, *highest, {}};
  }
  LoraStrength each;
  for (const std::string_view piece : pieces_of(text, ',')) {
    const auto value = number(piece);
    if (!value) return std::nullopt;
    each.each.push_back(*value);
  }
  return each;
}

/// Cuts ":STRENGTH" off the end.
std::optional<LoraStrength> take_strength(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto value = strength(text.substr(colon + 1));
  if (value) text = text.substr(0, colon);
  return value;
}

/// Cuts "@BLOCK=NUMBER,..." off the end.
std::map<std::string, double> take_blocks(std::string_view& text) {
  std::map<std::string, double> blocks;
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return blocks;
  for (const std::string_view piece : pieces_of(text.substr(at + 1), ',')) {
    const std::size_t equals = piece.find('=');
    const auto value =
        equals == std::string_view::npos ? std::nullopt : number(piece.substr(equals + 1));
    if (!value || equals == 0) return {};
    blocks[std::string(piece.substr(0, equals))] = *value;
  }
  text = text.substr(0, at);
  return blocks;
}

bool is_finite(const LoraStrength& strength) {
  return std::isfinite(strength.lowest) && std::isfinite(strength.highest) &&
         std::ranges::all_of(strength.each, [](double value) { return std::isfinite(value); });
}

}  // namespace

Result<LoraDraw> lora_from_text(const std::string& text) {
  std::string_view rest = text;
  LoraDraw lora;
  lora.blocks = take_blocks(rest);
  const std::optional<LoraStrength> last = take_strength(rest);
  const std::optional<LoraStrength> before = last ? take_strength(rest) : std::nullopt;
  lora.path = rest;
  lora.model = before.value_or(last.value_or(LoraStrength()));
  if (before) lora.clip = last;
  const bool blocks_finite = std::ranges::all_of(
      lora.blocks, [](const auto& block) { return std::isfinite(block.second); });
  if (!rest.empty() && blocks_finite && is_finite(lora.model) &&
      (!lora.clip || is_finite(*lora.clip))) {
    return lora;
  }
  return error(
      StatusCode::kInvalidArgument,
      "lora '{}': expected FILE, FILE:MODEL or FILE:MODEL:CLIP with finite strengths, such "
      "as style.safetensors:0.8, or style.safetensors:0.2..0.9 to draw one for each picture",
      text);
}

std::string lora_in_text(const LoraRef& lora) {
  std::string text = fmt::format("{}:{}:{}", lora.path, lora.model_strength, lora.clip_strength);
  char before = '@';
  for (const auto& [block, factor] : lora.block_strengths) {
    text += fmt::format("{}{}={}", before, block, factor);
    before = ',';
  }
  return text;
}

Result<PromptWithLoras> take_lora_tags(const std::string& prompt) {
  PromptWithLoras taken;
  std::string_view rest = prompt;
  for (std::size_t begin; (begin = rest.find(kTag)) != std::string_view::npos;) {
    const std::size_t end = rest.find('>', begin);
    if (end == std::string_view::npos) break;
    const std::string tag(rest.substr(begin + kTag.size(), end - begin - kTag.size()));
    LUNA_ASSIGN_OR_RETURN(LoraDraw lora, lora_from_text(tag));
    if (!lora.path.ends_with(kEnding)) lora.path += kEnding;
    taken.loras.push_back(std::move(lora));
    taken.prompt += rest.substr(0, begin);
    rest.remove_prefix(end + 1);
  }
  taken.prompt += rest;
  return taken;
}

}  // namespace luna::client
