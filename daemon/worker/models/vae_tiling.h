#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "common/base/status.h"
#include "common/types/job.h"
#include "daemon/worker/models/vae.h"

namespace luna::worker {

/// A rectangle of one picture of the input, and where its result goes.
struct Tile {
  int pass = 0;
  std::int64_t picture = 0;
  std::int64_t y = 0, x = 0, height = 0, width = 0;  ///< in the input's cells
  std::int64_t out_y = 0, out_x = 0;                 ///< in the output's cells
  bool whole = false;  ///< the whole picture: no blending in this pass
};

/// How a VAE call is cut into pieces of bounded size, exactly as ComfyUI's tiled nodes do it: three
/// passes with tiles of different proportions (size, half by double, double by half), each blended
/// with linear ramps as wide as the overlap, then averaged. Source of the rules: ComfyUI
/// comfy/utils.py tiled_scale_multidim, comfy/sd.py decode_tiled_ and encode_tiled_, nodes.py
/// VAEDecodeTiled.
class TilePlan {
 public:
  /// latent_shape [n,C,h,w]. INVALID_ARGUMENT when half a tile is not larger than the overlap. An
  /// overlap of more than a quarter of the size is taken as a quarter, as the node does.
  static Result<TilePlan> for_decode(at::IntArrayRef latent_shape, const TileOptions& pixels,
                                     int factor);
  /// pixel_shape [n,3,H,W], multiples of factor. INVALID_ARGUMENT as above, and when half a tile or
  /// the overlap is not a multiple of factor.
  static Result<TilePlan> for_encode(at::IntArrayRef pixel_shape, const TileOptions& pixels,
                                     int factor);

  /// In the order in which TileBlend takes the results.
  const std::vector<Tile>& tiles() const { return tiles_; }
  /// The input of one tile; a view.
  static at::Tensor cut(const at::Tensor& input, const Tile& tile);

 private:
  friend class TileBlend;
  struct Extent {
    std::int64_t height = 0, width = 0;
  };
  void add_pass(const Extent& tile, std::int64_t overlap);

  std::int64_t pictures_ = 0;
  Extent input_;
  Extent output_;
  double scale_ = 1.0;  ///< output cells an input cell
  std::int64_t feather_ = 0;
  int passes_ = 0;
  std::vector<Tile> tiles_;
};

/// Sums up the results of a plan's tiles. Between two calls of add() anything may happen elsewhere:
/// the state is here alone (three f32 pictures for each of the batch).
class TileBlend {
 public:
  TileBlend(const TilePlan& plan, std::int64_t channels, at::Device device);
  /// result [1,C,h,w] of the next tile of the plan.
  void add(const at::Tensor& result);
  /// [n,C,H,W] f32, once every tile was added.
  at::Tensor finish();

 private:
  void close_pass();

  const TilePlan plan_;
  std::size_t next_ = 0;
  at::Tensor total_;
  at::Tensor pass_;
  at::Tensor weight_;
};

/// The whole plan at once. latent [n,C,h,w] to pixels [n,3,H,W] f32 as Vae::decode gives them.
Result<at::Tensor> decode_tiled(const Vae& vae, const at::Tensor& latent, const TileOptions& tile);
/// pixels [n,3,H,W] in -1..1 to latents [n,C,h,w] f32.
Result<at::Tensor> encode_tiled(const Vae& vae, const at::Tensor& pixels, const TileOptions& tile);

}  // namespace luna::worker
