#include "daemon/worker/engine/latent_preview.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace luna::worker {
namespace {

/// Red, green and blue of each latent channel, as a least-squares fit of decoded pictures gives
/// them (values in -1..1), and of an empty latent. The numbers are ComfyUI's
/// (comfy/latent_formats.py).
struct Colours {
  float of_channel[4][3];
  float bias[3];
};
constexpr Colours kSd1 = {{{0.3512f, 0.2297f, 0.3227f},
                           {0.3250f, 0.4974f, 0.2350f},
                           {-0.2829f, 0.1762f, 0.2721f},
                           {-0.2120f, -0.2616f, -0.7177f}},
                          {0, 0, 0}};
constexpr Colours kSdxl = {{{0.3651f, 0.4232f, 0.4341f},
                            {-0.2533f, -0.0042f, 0.1068f},
                            {0.1076f, 0.1111f, -0.0362f},
                            {-0.3165f, -0.2492f, -0.2188f}},
                           {0.1084f, -0.0175f, -0.0011f}};
constexpr Colours kPlayground = {{{0.3920f, 0.4054f, 0.4549f},
                                  {-0.2634f, -0.0196f, 0.0653f},
                                  {0.0568f, 0.1687f, -0.0755f},
                                  {-0.3112f, -0.2359f, -0.2076f}},
                                 {0, 0, 0}};

const Colours* colours_of(const DenoiserTraits& traits) {
  if (traits.family == "sd1") return &kSd1;
  if (!traits.family.starts_with("sdxl")) return nullptr;
  return traits.latent_mean.empty() ? &kSdxl : &kPlayground;
}

constexpr double kPixelsPerCell = TaesdDecoder::kFactor;

/// Height and width.
std::array<std::int64_t, 2> size_of_preview(const at::Tensor& x0, int max_edge) {
  const double longest = static_cast<double>(std::max(x0.size(2), x0.size(3)));
  const double scale = std::min(kPixelsPerCell, std::max(1, max_edge) / longest);
  const auto extent = [&](std::int64_t cells) {
    return std::max<std::int64_t>(1, std::llround(static_cast<double>(cells) * scale));
  };
  return {extent(x0.size(2)), extent(x0.size(3))};
}

/// Of pixels [rows, 3, H, W] in -1..1.
at::Tensor bytes_of(const at::Tensor& pixels) {
  return pixels.add(1)
      .mul(127.5)
      .nan_to_num(0)
      .clamp(0, 255)
      .to(at::kByte)
      .permute({0, 2, 3, 1})
      .contiguous()
      .cpu();
}

}  // namespace

bool has_latent_preview(const DenoiserTraits& traits) { return colours_of(traits) != nullptr; }

at::Tensor latent_preview(const DenoiserTraits& traits, const at::Tensor& x0, int max_edge) {
  const Colours* known = colours_of(traits);
  TORCH_CHECK(known != nullptr && x0.dim() == 4 && x0.size(1) == 4, "no preview for family ",
              traits.family);
  const auto table = [&](const float* values, at::IntArrayRef shape) {
    return at::from_blob(const_cast<float*>(values), shape, at::kFloat).to(x0.device());
  };
  const at::Tensor rgb =
      at::matmul(x0.to(at::kFloat).permute({0, 2, 3, 1}), table(&known->of_channel[0][0], {4, 3})) +
      table(known->bias, {3});
  return bytes_of(at::upsample_bilinear2d(rgb.permute({0, 3, 1, 2}), size_of_preview(x0, max_edge),
                                          /*align_corners=*/false));
}

at::Tensor decoded_preview(const TaesdDecoder& decoder, const at::Tensor& x0, int max_edge) {
  const std::array<std::int64_t, 2> size = size_of_preview(x0, max_edge);
  std::vector<at::Tensor> rows;
  for (std::int64_t row = 0; row < x0.size(0); ++row) {
    at::Tensor pixels = decoder.decode(x0.narrow(0, row, 1));
    if (pixels.size(2) != size[0] || pixels.size(3) != size[1])
      pixels = at::_upsample_bilinear2d_aa(pixels, size, /*align_corners=*/false);
    rows.push_back(bytes_of(pixels));
  }
  return at::cat(rows, 0);
}

}  // namespace luna::worker
