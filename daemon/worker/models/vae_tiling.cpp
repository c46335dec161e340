#include "daemon/worker/models/vae_tiling.h"

#include <algorithm>
#include <cmath>

namespace luna::worker {
namespace {

/// Python's round(): halves go to the even neighbour.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }

/// Where tiles begin along an axis.
std::vector<std::int64_t> starts(std::int64_t size, std::int64_t tile, std::int64_t overlap) {
  if (size <= tile) return {0};
  std::vector<std::int64_t> positions;
  for (std::int64_t at = 0; at < size - overlap; at += tile - overlap) positions.push_back(at);
  return positions;
}

/// Rising and falling ramps at both ends, also at the borders of the picture; none where they would
/// meet beyond the middle of nothing, that is, when the tile is not longer than a ramp.
at::Tensor ramps(std::int64_t length, std::int64_t feather) {
  at::Tensor weights = at::ones({length}, at::kFloat);
  if (feather >= length) return weights;
  float* weight = weights.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < feather; ++i) {
    const float step =
        static_cast<float>(static_cast<double>(i + 1) / static_cast<double>(feather));
    weight[i] *= step;
    weight[length - 1 - i] *= step;
  }
  return weights;
}

Status check_shape(at::IntArrayRef shape, const char* what) {
  if (shape.size() == 4 && shape[0] > 0 && shape[2] > 0 && shape[3] > 0) return {};
  return error(StatusCode::kInvalidArgument,
               "{} should have four axes, none of them empty, found {} axes", what, shape.size());
}

Status check_overlap(std::int64_t tile, std::int64_t overlap, const TileOptions& pixels) {
  if (overlap >= 0 && tile / 2 > overlap) return {};
  return error(StatusCode::kInvalidArgument,
               "half a tile should be larger than the overlap; found tiles of {} pixels with an "
               "overlap of {}",
               pixels.size, pixels.overlap);
}

}  // namespace

void TilePlan::add_pass(const Extent& tile, std::int64_t overlap) {
  const bool whole = input_.height <= tile.height && input_.width <= tile.width;
  for (std::int64_t picture = 0; picture < pictures_; ++picture)
    for (const std::int64_t y : starts(input_.height, tile.height, overlap))
      for (const std::int64_t x : starts(input_.width, tile.width, overlap)) {
        Tile next{.pass = passes_, .picture = picture, .whole = whole};
        next.y = std::max<std::int64_t>(0, std::min(input_.height - overlap, y));
        next.x = std::max<std::int64_t>(0, std::min(input_.width - overlap, x));
        next.height = std::min(tile.height, input_.height - next.y);
        next.width = std::min(tile.width, input_.width - next.x);
        next.out_y = rounded(static_cast<double>(next.y) * scale_);
        next.out_x = rounded(static_cast<double>(next.x) * scale_);
        tiles_.push_back(next);
      }
  ++passes_;
}

Result<TilePlan> TilePlan::for_decode(at::IntArrayRef latent_shape, const TileOptions& pixels,
                                      int factor) {
  LUNA_RETURN_IF_ERROR(check_shape(latent_shape, "latents"));
  const std::int64_t wanted = pixels.size / 4 < pixels.overlap ? pixels.size / 4 : pixels.overlap;
  const std::int64_t tile = pixels.size / factor, overlap = wanted / factor;
  LUNA_RETURN_IF_ERROR(check_overlap(tile, overlap, pixels));
  TilePlan plan;
  plan.pictures_ = latent_shape[0];
  plan.input_ = {latent_shape[2], latent_shape[3]};
  plan.output_ = {latent_shape[2] * factor, latent_shape[3] * factor};
  plan.scale_ = factor;
  plan.feather_ = overlap * factor;
  plan.add_pass({tile * 2, tile / 2}, overlap);
  plan.add_pass({tile / 2, tile * 2}, overlap);
  plan.add_pass({tile, tile}, overlap);
  return plan;
}

Result<TilePlan> TilePlan::for_encode(at::IntArrayRef pixel_shape, const TileOptions& pixels,
                                      int factor) {
  LUNA_RETURN_IF_ERROR(check_shape(pixel_shape, "pixels"));
  const std::int64_t tile = pixels.size, overlap = pixels.overlap;
  LUNA_RETURN_IF_ERROR(check_overlap(tile, overlap, pixels));
  if (tile % (2 * factor) != 0 || overlap % factor != 0 || pixel_shape[2] % factor != 0 ||
      pixel_shape[3] % factor != 0)
    return error(StatusCode::kInvalidArgument,
                 "pictures and the overlap should be multiples of {0} pixels and tiles of twice "
                 "that; found {1}x{2} pixels, tiles of {3}, overlap {4}",
                 factor, pixel_shape[3], pixel_shape[2], tile, overlap);
  TilePlan plan;
  plan.pictures_ = pixel_shape[0];
  plan.input_ = {pixel_shape[2], pixel_shape[3]};
  plan.output_ = {pixel_shape[2] / factor, pixel_shape[3] / factor};
  plan.scale_ = 1.0 / factor;
  plan.feather_ = overlap / factor;
  plan.add_pass({tile, tile}, overlap);
  plan.add_pass({tile / 2, tile * 2}, overlap);
  plan.add_pass({tile * 2, tile / 2}, overlap);
  return plan;
}

at::Tensor TilePlan::cut(const at::Tensor& input, const Tile& tile) {
  return input.narrow(0, tile.picture, 1)
      .narrow(2, tile.y, tile.height)
      .narrow(3, tile.x, tile.width);
}

TileBlend::TileBlend(const TilePlan& plan, std::int64_t channels, at::Device device) : plan_(plan) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  const std::int64_t height = plan.output_.height, width = plan.output_.width;
  total_ = at::zeros({plan.pictures_, channels, height, width}, options);
  pass_ = at::zeros_like(total_);
  weight_ = at::zeros({plan.pictures_, 1, height, width}, options);
}

void TileBlend::add(const at::Tensor& result) {
  if (next_ >= plan_.tiles_.size()) die("TileBlend::add after the last tile of the plan");
  const Tile& tile = plan_.tiles_[next_];
  const std::int64_t height = std::min(result.size(2), plan_.output_.height - tile.out_y);
  const std::int64_t width = std::min(result.size(3), plan_.output_.width - tile.out_x);
  const auto window = [&](const at::Tensor& picture) {
    return picture.narrow(0, tile.picture, 1)
        .narrow(2, tile.out_y, height)
        .narrow(3, tile.out_x, width);
  };
  const at::Tensor values =
      result.narrow(2, 0, height).narrow(3, 0, width).to(total_.device(), at::kFloat);
  if (tile.whole) {
    window(pass_).copy_(values);
    window(weight_).fill_(1.0);
  } else {
    const at::Tensor mask =
        (ramps(result.size(2), plan_.feather_).narrow(0, 0, height).unsqueeze(1) *
         ramps(result.size(3), plan_.feather_).narrow(0, 0, width).unsqueeze(0))
            .to(total_.device());
    window(pass_).add_(values * mask);
    window(weight_).add_(mask);
  }
  ++next_;
  if (next_ == plan_.tiles_.size() || plan_.tiles_[next_].pass != tile.pass) close_pass();
}

void TileBlend::close_pass() {
  total_.add_(pass_.div_(weight_));
  pass_.zero_();
  weight_.zero_();
}

at::Tensor TileBlend::finish() {
  if (next_ != plan_.tiles_.size()) die("TileBlend::finish before the last tile of the plan");
  return total_.div_(static_cast<double>(plan_.passes_));
}

Result<at::Tensor> decode_tiled(const Vae& vae, const at::Tensor& latent, const TileOptions& tile) {
  LUNA_ASSIGN_OR_RETURN(const TilePlan plan,
                        TilePlan::for_decode(latent.sizes(), tile, vae.factor()));
  TileBlend blend(plan, 3, latent.device());
  for (const Tile& next : plan.tiles()) blend.add(vae.decode(TilePlan::cut(latent, next)));
  return blend.finish();
}

Result<at::Tensor> encode_tiled(const Vae& vae, const at::Tensor& pixels, const TileOptions& tile) {
  LUNA_ASSIGN_OR_RETURN(const TilePlan plan,
                        TilePlan::for_encode(pixels.sizes(), tile, vae.factor()));
  TileBlend blend(plan, vae.latent_channels(), pixels.device());
  for (const Tile& next : plan.tiles()) blend.add(vae.encode(TilePlan::cut(pixels, next)));
  return blend.finish();
}

}  // namespace luna::worker
