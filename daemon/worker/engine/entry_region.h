#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

#include "common/base/status.h"
#include "common/types/conditioning.h"

namespace luna::worker {

/// A rectangle of latent cells.
struct LatentArea {
  std::int64_t height = 0, width = 0, y = 0, x = 0;
  bool operator==(const LatentArea&) const = default;
  bool contains(const LatentArea& other) const;
};

/// The part of a latent that an entry acts on, and how much it counts there (reference:
/// comfy/samplers.py: resolve_areas_and_cond_masks_multidim, get_area_and_mult).
struct EntryRegion {
  /// As asked for, which decides what lies inside of what; it may reach over the latent's edge.
  std::optional<LatentArea> area;
  /// `area` cut to the latent: what the model sees. None: the whole latent.
  std::optional<LatentArea> crop;
  /// [1, 1, h, w] of the crop, f32 on the host: mask, strengths and soft edges. Undefined for an
  /// entry that counts by its strength alone everywhere.
  at::Tensor weight;

  /// The part of `planes` [n, c, height, width] that the entry acts on.
  at::Tensor of(const at::Tensor& planes) const;
};

/// `height` x `width`: the latent, in cells; `batch_index`: the row's place in its latent batch,
/// which picks one of several masks. INVALID_ARGUMENT for an area without cells, one that begins
/// outside of the latent, one that is not whole cells, one for a default entry, and for masks of
/// other shapes than [H, W] and [n, H, W].
Result<EntryRegion> entry_region(const ConditioningEntry& entry, std::string_view what,
                                 std::int64_t height, std::int64_t width,
                                 std::uint32_t batch_index);

}  // namespace luna::worker
