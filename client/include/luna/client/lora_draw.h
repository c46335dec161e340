#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/types/model.h"

namespace luna::client {

/// A strength of an adapter that may differ from picture to picture: one number for all, a number
/// drawn evenly from lowest to highest for each, or a number for each.
struct LoraStrength {
  double lowest = 1, highest = 1;
  std::vector<double> each;  ///< not empty: these, one a picture
  bool operator==(const LoraStrength&) const = default;
};

/// An adapter of many pictures.
struct LoraDraw {
  std::string path;
  LoraStrength model;
  std::optional<LoraStrength> clip;  ///< absent: whatever the model's turns out to be
  std::map<std::string, double> blocks;

  bool differs_by_picture() const;
  bool operator==(const LoraDraw&) const = default;
};

/// The set of each of `pictures` pictures. What is drawn follows from the seed, the place of the
/// adapter and of the picture alone, on every machine. INVALID_ARGUMENT when an adapter has
/// another number of strengths than there are pictures.
Result<std::vector<std::vector<LoraRef>>> draw_loras(const std::vector<LoraDraw>& draws,
                                                     std::uint64_t seed, int pictures);

}  // namespace luna::client
