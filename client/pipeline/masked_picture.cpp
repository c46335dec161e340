#include "client/pipeline/masked_picture.h"

#include <algorithm>
#include <cmath>

#include "client/pipeline/start_picture.h"

namespace luna::client {
namespace {

constexpr float kGrey = 0.5F;

struct Plane {
  int width = 0, height = 0;
  std::vector<float> values;
  float at(int x, int y) const {
    return values[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                  static_cast<std::size_t>(x)];
  }
};

/// Where a sample of the result lies between two of the source (torch: interpolate without
/// align_corners).
struct Between {
  int low = 0, high = 0;
  float weight = 0;  ///< of the high one

  Between(int index, int source, int result) {
    const float scale = static_cast<float>(source) / static_cast<float>(result);
    const float place = std::max(0.0F, scale * (static_cast<float>(index) + 0.5F) - 0.5F);
    low = std::min(static_cast<int>(place), source - 1);
    high = std::min(low + 1, source - 1);
    weight = place - static_cast<float>(low);
  }
};

Plane stretched(Plane plane, int width, int height) {
  if (plane.width == width && plane.height == height) return plane;
  Plane result{width, height, {}};
  result.values.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int row = 0; row < height; ++row) {
    const Between y(row, plane.height, height);
    for (int column = 0; column < width; ++column) {
      const Between x(column, plane.width, width);
      const auto across = [&](int line) {
        return (1 - x.weight) * plane.at(x.low, line) + x.weight * plane.at(x.high, line);
      };
      result.values.push_back((1 - y.weight) * across(y.low) + y.weight * across(y.high));
    }
  }
  return result;
}

Plane middle_of(const Plane& plane, PictureSize size) {
  Plane result{size.width, size.height, {}};
  const int left = (plane.width - size.width) / 2, top = (plane.height - size.height) / 2;
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x) result.values.push_back(plane.at(left + x, top + y));
  return result;
}

/// The mask over the picture as start_pixels() gives it.
Plane mask_over_picture(const GenerateRequest& request, PictureSize size) {
  const TensorRef sent = noise_mask(request, size);
  Plane mask{static_cast<int>(sent.spec.shape[2]), static_cast<int>(sent.spec.shape[1]),
             floats_of(sent).value()};
  if (request.width || request.height) return stretched(std::move(mask), size.width, size.height);
  return middle_of(stretched(std::move(mask), request.image->width, request.image->height), size);
}

}  // namespace

MaskedPicture masked_picture(const GenerateRequest& request, PictureSize size) {
  const Plane mask = mask_over_picture(request, size);
  const BytesPtr bytes = start_pixels(request, size).host_bytes();
  std::vector<float> pixels;
  pixels.reserve(bytes->view().size());
  for (std::size_t i = 0; i < bytes->view().size(); ++i) {
    const float sample = static_cast<float>(std::to_integer<int>(bytes->view()[i])) / 255.0F;
    const float kept = 1 - std::nearbyint(mask.values[i / 3]);
    pixels.push_back((sample - kGrey) * kept + kGrey);
  }
  return {tensor_of({1, size.height, size.width, 3}, pixels),
          tensor_of({1, size.height, size.width}, mask.values)};
}

bool takes_masked_picture(const std::vector<ComponentInfo>& components) {
  return std::ranges::any_of(components, [](const ComponentInfo& component) {
    return component.slot == Slot::kUNet && component.inpaint;
  });
}

}  // namespace luna::client
