#include "client/include/luna/client/lora_draw.h"

namespace luna::client {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): one step from `state`.
std::uint64_t mixed(std::uint64_t state) {
  state += 0x9e3779b97f4a7c15;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
  return state ^ (state >> 31);
}

/// In [0, 1).
double share(std::uint64_t seed, std::uint64_t stream, std::uint64_t picture) {
  constexpr double kUnit = 1.0 / static_cast<double>(std::uint64_t{1} << 53);
  return static_cast<double>(mixed(mixed(mixed(seed) ^ stream) ^ picture) >> 11) * kUnit;
}

bool differs(const LoraStrength& strength) {
  return !strength.each.empty() || strength.lowest != strength.highest;
}

Result<double> strength_of(const LoraStrength& strength, const std::string& path,
                           std::uint64_t seed, std::uint64_t stream, int picture, int pictures) {
  if (!strength.each.empty()) {
    if (static_cast<int>(strength.each.size()) == pictures)
      return strength.each[static_cast<std::size_t>(picture)];
    return error(StatusCode::kInvalidArgument,
                 "lora '{}': expected a strength for each of {} pictures, found {}", path, pictures,
                 strength.each.size());
  }
  if (strength.lowest == strength.highest) return strength.lowest;
  return strength.lowest + (strength.highest - strength.lowest) *
                               share(seed, stream, static_cast<std::uint64_t>(picture));
}

}  // namespace

bool LoraDraw::differs_by_picture() const { return differs(model) || (clip && differs(*clip)); }

Result<std::vector<std::vector<LoraRef>>> draw_loras(const std::vector<LoraDraw>& draws,
                                                     std::uint64_t seed, int pictures) {
  std::vector<std::vector<LoraRef>> sets(static_cast<std::size_t>(pictures));
  for (int picture = 0; picture < pictures; ++picture) {
    for (std::size_t i = 0; i < draws.size(); ++i) {
      const LoraDraw& draw = draws[i];
      LUNA_ASSIGN_OR_RETURN(const double model,
                            strength_of(draw.model, draw.path, seed, 2 * i, picture, pictures));
      double clip = model;
      if (draw.clip) {
        LUNA_ASSIGN_OR_RETURN(
            clip, strength_of(*draw.clip, draw.path, seed, 2 * i + 1, picture, pictures));
      }
      sets[static_cast<std::size_t>(picture)].emplace_back(draw.path, model, clip, draw.blocks);
    }
  }
  return sets;
}

}  // namespace luna::client
