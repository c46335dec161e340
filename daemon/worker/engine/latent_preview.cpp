#include "daemon/worker/engine/latent_preview.h"

#include <algorithm>
#include <cmath>

namespace luna::worker {
namespace {

// Red, green and blue of each latent channel of Stable Diffusion 1.x, as a least-squares fit of
// decoded pictures gives them (values in -1..1).
constexpr float kSd1Colours[4][3] = {{0.35f, 0.23f, 0.32f},
                                     {0.325f, 0.50f, 0.235f},
                                     {-0.28f, 0.18f, 0.27f},
                                     {-0.21f, -0.26f, -0.72f}};
constexpr double kPixelsPerCell = 8;

}  // namespace

bool has_latent_preview(const std::string& family) { return family == "sd1"; }

at::Tensor latent_preview(const std::string& family, const at::Tensor& x0, int max_edge) {
  TORCH_CHECK(has_latent_preview(family) && x0.dim() == 4 && x0.size(1) == 4,
              "no preview for family ", family);
  const double longest = static_cast<double>(std::max(x0.size(2), x0.size(3)));
  const double scale = std::min(kPixelsPerCell, std::max(1, max_edge) / longest);
  const auto extent = [&](std::int64_t cells) {
    return std::max<std::int64_t>(1, std::llround(static_cast<double>(cells) * scale));
  };
  const at::Tensor colours =
      at::from_blob(const_cast<float*>(&kSd1Colours[0][0]), {4, 3}, at::kFloat).to(x0.device());
  const at::Tensor rgb = at::matmul(x0.to(at::kFloat).permute({0, 2, 3, 1}), colours);
  const at::Tensor sized =
      at::upsample_bilinear2d(rgb.permute({0, 3, 1, 2}), {extent(x0.size(2)), extent(x0.size(3))},
                              /*align_corners=*/false);
  return sized.add(1)
      .mul(127.5)
      .nan_to_num(0)
      .clamp(0, 255)
      .to(at::kByte)
      .permute({0, 2, 3, 1})
      .contiguous()
      .cpu();
}

}  // namespace luna::worker
