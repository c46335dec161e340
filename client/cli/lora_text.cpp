#include "client/cli/lora_text.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

namespace luna::client {
namespace {

constexpr std::string_view kTag = "<lora:";
constexpr std::string_view kEnding = ".safetensors";

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

/// Cuts ":NUMBER" off the end.
std::optional<double> take_number(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto value = number(text.substr(colon + 1));
  if (value) text = text.substr(0, colon);
  return value;
}

}  // namespace

Result<LoraRef> lora_from_text(const std::string& text) {
  std::string_view rest = text;
  const std::optional<double> last = take_number(rest);
  const std::optional<double> before = last ? take_number(rest) : std::nullopt;
  LoraRef lora{std::string(rest), before.value_or(last.value_or(1.0)), last.value_or(1.0)};
  if (!rest.empty() && std::isfinite(lora.model_strength) && std::isfinite(lora.clip_strength)) {
    return lora;
  }
  return error(
      StatusCode::kInvalidArgument,
      "lora '{}': expected FILE, FILE:MODEL or FILE:MODEL:CLIP with finite strengths, such "
      "as style.safetensors:0.8",
      text);
}

Result<PromptWithLoras> take_lora_tags(const std::string& prompt) {
  PromptWithLoras taken;
  std::string_view rest = prompt;
  for (std::size_t begin; (begin = rest.find(kTag)) != std::string_view::npos;) {
    const std::size_t end = rest.find('>', begin);
    if (end == std::string_view::npos) break;
    const std::string tag(rest.substr(begin + kTag.size(), end - begin - kTag.size()));
    LUNA_ASSIGN_OR_RETURN(LoraRef lora, lora_from_text(tag));
    if (!lora.path.ends_with(kEnding)) lora.path += kEnding;
    taken.loras.push_back(std::move(lora));
    taken.prompt += rest.substr(0, begin);
    rest.remove_prefix(end + 1);
  }
  taken.prompt += rest;
  return taken;
}

}  // namespace luna::client
