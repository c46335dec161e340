#include "client/pipeline/picture_size.h"

#include <algorithm>
#include <cmath>

namespace luna::client {
namespace {

constexpr int kMaxEdge = 65536;

int nearest_multiple(double value, int factor) {
  return std::max(factor, static_cast<int>(std::lround(value / factor)) * factor);
}

Status check_edge(std::string_view name, int pixels, int factor) {
  if (pixels > kMaxEdge) {
    return error(StatusCode::kInvalidArgument, "{} {}: at most {} pixels are possible", name,
                 pixels, kMaxEdge);
  }
  if (pixels >= factor && pixels % factor == 0) return {};
  return error(StatusCode::kInvalidArgument,
               "{} {} must be a multiple of {} and at least {}; the nearest is {}", name, pixels,
               factor, factor, nearest_multiple(pixels, factor));
}

}  // namespace

LatentGeometry latent_geometry(const std::vector<ComponentInfo>& components) {
  LatentGeometry geometry;
  for (const ComponentInfo& component : components) {
    if (component.slot != Slot::kUNet) continue;
    if (component.family.starts_with("sdxl")) geometry.native_width = geometry.native_height = 1024;
    if (component.family.starts_with("sd2")) geometry.native_width = geometry.native_height = 768;
    if (component.native_width > 0 && component.native_height > 0) {
      geometry.native_width = nearest_multiple(component.native_width, geometry.factor);
      geometry.native_height = nearest_multiple(component.native_height, geometry.factor);
    }
  }
  return geometry;
}

Result<PictureSize> picture_size(const GenerateRequest& request, const LatentGeometry& geometry) {
  const int factor = geometry.factor;
  if (request.width) LUNA_RETURN_IF_ERROR(check_edge("width", *request.width, factor));
  if (request.height) LUNA_RETURN_IF_ERROR(check_edge("height", *request.height, factor));
  if (request.width && request.height) return PictureSize{*request.width, *request.height};

  if (!request.image) {
    if (request.width) return PictureSize{*request.width, *request.width};
    if (request.height) return PictureSize{*request.height, *request.height};
    return PictureSize{geometry.native_width, geometry.native_height};
  }
  const Image& image = *request.image;
  if (request.width) {
    const double height = static_cast<double>(*request.width) * image.height / image.width;
    return PictureSize{*request.width, nearest_multiple(height, factor)};
  }
  if (request.height) {
    const double width = static_cast<double>(*request.height) * image.width / image.height;
    return PictureSize{nearest_multiple(width, factor), *request.height};
  }
  if (image.width < factor || image.height < factor) {
    return error(StatusCode::kInvalidArgument,
                 "the starting picture has {} x {} pixels; at least {} x {} are needed",
                 image.width, image.height, factor, factor);
  }
  return PictureSize{image.width / factor * factor, image.height / factor * factor};
}

}  // namespace luna::client
