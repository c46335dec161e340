#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/types/tensor.h"

namespace luna {

/// Part of the picture an entry acts on: in latent cells, or as fractions of the latent's size.
struct ConditioningArea {
  bool fractional = false;
  double height = 0, width = 0, y = 0, x = 0;
  bool operator==(const ConditioningArea&) const = default;
};

/// One entry of ComfyUI's CONDITIONING list: a context and the dictionary beside it.
struct ConditioningEntry {
  TensorRef cross_attn;                     ///< [1, tokens, width]
  std::optional<TensorRef> pooled;          ///< [1, width]
  std::optional<TensorRef> attention_mask;  ///< [1, tokens]
  double strength = 1.0;
  std::optional<ConditioningArea> area;
  std::optional<TensorRef> mask;  ///< [n, H, W] in 0..1, of any size
  double mask_strength = 1.0;
  bool set_area_to_bounds = false;
  double start_percent = 0.0;      ///< active from this share of the schedule ...
  double end_percent = 1.0;        ///< ... to this one
  bool is_default = false;         ///< fills what no other entry covers
  std::optional<double> guidance;  ///< embedded guidance (Flux)
  std::map<std::string, double>
      numbers;  ///< width, height, crop_w, crop_h, target_*, aesthetic_score
  std::map<std::string, TensorRef>
      extras;  ///< concat_latent_image, concat_mask, reference latents, ...
};

/// Named lists of entries: "positive", "negative", and whatever a guider asks for.
using ConditioningSets = std::map<std::string, std::vector<ConditioningEntry>>;

}  // namespace luna
