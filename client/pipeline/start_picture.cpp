#include "client/pipeline/start_picture.h"

#include "common/image/resize.h"

namespace luna::client {
namespace {

bool resized(const GenerateRequest& request) { return request.width || request.height; }

}  // namespace

TensorRef start_pixels(const GenerateRequest& request, PictureSize size) {
  Image image = to_rgb(*request.image);
  if (resized(request)) {
    image = resize_to_fill(image, size.width, size.height, ResizeFilter::kLanczos);
  } else {
    image = crop(image, (image.width - size.width) / 2, (image.height - size.height) / 2,
                 size.width, size.height);
  }
  return TensorRef{{DType::kU8, {1, image.height, image.width, 3}},
                   bytes_copy_of(std::as_bytes(std::span(image.pixels)))};
}

TensorRef noise_mask(const GenerateRequest& request, PictureSize size) {
  Image mask = channel_of(*request.mask, 0);
  const bool same_size = mask.width == request.image->width && mask.height == request.image->height;
  if (resized(request) && same_size) {
    mask = resize_to_fill(mask, size.width, size.height, ResizeFilter::kLanczos);
  }
  std::vector<float> values(mask.pixels.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(mask.pixels[i]) / 255.0f;
  }
  return tensor_of({1, mask.height, mask.width}, values);
}

}  // namespace luna::client
