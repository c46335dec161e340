#include "common/image/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace luna {
namespace {

double lanczos3(double x) {
  x = std::abs(x);
  if (x < 1e-9) return 1.0;
  if (x >= 3.0) return 0.0;
  const double px = std::numbers::pi * x;
  return 3.0 * std::sin(px) * std::sin(px / 3.0) / (px * px);
}

/// The source samples that one target sample is made of.
struct Taps {
  int first = 0;
  std::vector<double> weights;
};

std::vector<Taps> area_taps(int from, int to) {
  std::vector<Taps> all(static_cast<std::size_t>(to));
  const double scale = static_cast<double>(from) / to;
  for (int i = 0; i < to; ++i) {
    Taps& taps = all[static_cast<std::size_t>(i)];
    const double begin = i * scale;
    const double end = (i + 1) * scale;
    taps.first = std::min(static_cast<int>(begin), from - 1);
    for (int s = taps.first; s < from && s < end; ++s) {
      taps.weights.push_back((std::min(end, s + 1.0) - std::max(begin, static_cast<double>(s))) /
                             scale);
    }
  }
  return all;
}

std::vector<Taps> lanczos_taps(int from, int to) {
  std::vector<Taps> all(static_cast<std::size_t>(to));
  const double scale = static_cast<double>(from) / to;
  const double widening = std::max(scale, 1.0);
  for (int i = 0; i < to; ++i) {
    Taps& taps = all[static_cast<std::size_t>(i)];
    const double center = (i + 0.5) * scale;
    taps.first = std::max(0, static_cast<int>(std::floor(center - 3.0 * widening + 0.5)));
    const int last = std::min(from, static_cast<int>(std::floor(center + 3.0 * widening + 0.5)));
    double sum = 0;
    for (int s = taps.first; s < last; ++s) {
      taps.weights.push_back(lanczos3((s + 0.5 - center) / widening));
      sum += taps.weights.back();
    }
    for (double& weight : taps.weights) weight /= sum;
  }
  return all;
}

}  // namespace

Image resize(const Image& image, int width, int height, ResizeFilter filter) {
  if (width < 1 || height < 1 || image.empty()) die("resize: sizes must be at least 1");
  if (width == image.width && height == image.height) return image;
  const auto taps_of = [filter](int from, int to) {
    return filter == ResizeFilter::kArea ? area_taps(from, to) : lanczos_taps(from, to);
  };
  const auto channels = static_cast<std::size_t>(image.channels);
  const auto columns = taps_of(image.width, width);
  const auto lines = taps_of(image.height, height);

  std::vector<float> narrow(static_cast<std::size_t>(image.height) *
                            static_cast<std::size_t>(width) * channels);
  for (int y = 0; y < image.height; ++y) {
    const auto source = image.row(y);
    float* out = narrow.data() + static_cast<std::size_t>(y) * columns.size() * channels;
    for (const Taps& taps : columns) {
      for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (std::size_t k = 0; k < taps.weights.size(); ++k) {
          sum +=
              taps.weights[k] * source[(static_cast<std::size_t>(taps.first) + k) * channels + c];
        }
        *out++ = static_cast<float>(sum);
      }
    }
  }

  Image result(width, height, image.channels);
  const std::size_t stride = columns.size() * channels;
  for (int y = 0; y < height; ++y) {
    const Taps& taps = lines[static_cast<std::size_t>(y)];
    auto out = result.row(y);
    for (std::size_t i = 0; i < stride; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < taps.weights.size(); ++k) {
        sum += taps.weights[k] * narrow[(static_cast<std::size_t>(taps.first) + k) * stride + i];
      }
      out[i] = static_cast<std::uint8_t>(std::clamp(std::lround(sum), 0L, 255L));
    }
  }
  return result;
}

Image resize_to_fill(const Image& image, int width, int height, ResizeFilter filter) {
  const double wanted = static_cast<double>(width) / height;
  const double found = static_cast<double>(image.width) / image.height;
  int part_width = image.width;
  int part_height = image.height;
  if (found > wanted) {
    part_width = std::clamp(static_cast<int>(std::lround(image.height * wanted)), 1, image.width);
  } else {
    part_height = std::clamp(static_cast<int>(std::lround(image.width / wanted)), 1, image.height);
  }
  const Image part = crop(image, (image.width - part_width) / 2, (image.height - part_height) / 2,
                          part_width, part_height);
  return resize(part, width, height, filter);
}

}  // namespace luna
