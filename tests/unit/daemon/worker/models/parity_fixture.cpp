#include "tests/unit/daemon/worker/models/parity_fixture.h"

#include <stdexcept>

#include <ATen/Parallel.h>

#include "daemon/worker/weights/weight_loader.h"
#include "tests/support/deterministic.h"

namespace luna::worker {
namespace {

template <class T>
T value_of(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().to_string());
  return std::move(result).value();
}

}  // namespace

ParityFixture::ParityFixture(const std::string& name)
    : store_(
          value_of(load_weights({.path = std::string(LUNA_SOURCE_DIR) +
                                         "/tests/parity/fixtures/models_" + name + ".safetensors",
                                 .rename = [](const std::string& tensor) { return tensor; }}))) {}

const at::Tensor& ParityFixture::tensor(const std::string& name) const {
  const at::Tensor* found = store_->find(name);
  if (found == nullptr) throw std::runtime_error("the fixture has no tensor " + name);
  return *found;
}

double ParityFixture::error_of(const std::string& name, const at::Tensor& found) const {
  const std::int64_t stride = std::stoll(store_->metadata().at(name + ".stride"));
  const at::Tensor thinned = found.flatten().slice(0, 0, std::nullopt, stride);
  const at::Tensor& expected = tensor(name);
  if (thinned.sizes() != expected.sizes())
    throw std::runtime_error(name + " has another size than the recorded answer");
  return relative(thinned, expected);
}

std::vector<std::vector<Token>> ParityFixture::chunks(const std::string& name) const {
  const at::Tensor& ids = tensor(name + ".ids");
  const at::Tensor& weights = tensor(name + ".weights");
  std::vector<std::vector<Token>> chunks(static_cast<std::size_t>(ids.size(0)));
  for (std::int64_t row = 0; row < ids.size(0); ++row) {
    for (std::int64_t i = 0; i < ids.size(1); ++i) {
      // Recorded in half precision; these are the weights that were meant.
      const double weight = weights[row][i].item<double>();
      chunks[static_cast<std::size_t>(row)].push_back({.id = ids[row][i].item<std::int64_t>(),
                                                       .weight = weight == 1.0  ? 1.0F
                                                                 : weight > 1.0 ? 1.3F
                                                                                : 0.5F,
                                                       .embedding = {}});
    }
  }
  return chunks;
}

at::Tensor made_up(const std::string& name, std::vector<std::int64_t> shape, float scale) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  support::fill_uniform(
      name, scale, {tensor.mutable_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
  return tensor;
}

TinyModel::TinyModel(const support::TinySd15Options& options)
    : path_(folder_.file("tiny.safetensors")) {
  // Models this small gain nothing from threads, which only wait for each other on a busy machine.
  at::set_num_threads(1);
  support::write_tiny_sd15(path_, options);
  components_ = value_of(detect_components(value_of(read_directory(path_))));
}

const DetectedComponent& TinyModel::component(Slot slot) const {
  for (const DetectedComponent& component : components_)
    if (component.info.slot == slot) return component;
  throw std::runtime_error("no component for slot " + std::string(slot_name(slot)));
}

std::shared_ptr<const WeightStore> TinyModel::weights(Slot slot, at::ScalarType storage) const {
  return value_of(
      load_weights({.path = path_, .rename = component(slot).rename, .storage = storage}));
}

Component TinyModel::build(Slot slot, at::ScalarType storage, at::ScalarType compute) const {
  return value_of(build_component(component(slot).info, weights(slot, storage), compute, at::kCPU));
}

std::shared_ptr<const DenoisingModel> TinyModel::unet(at::ScalarType compute) const {
  return std::get<std::shared_ptr<const DenoisingModel>>(build(Slot::kUNet, compute, compute));
}

std::shared_ptr<const TextEncoder> TinyModel::text(at::ScalarType storage) const {
  return std::get<std::shared_ptr<const TextEncoder>>(build(Slot::kClipL, storage, at::kFloat));
}

std::shared_ptr<const Vae> TinyModel::vae(at::ScalarType compute) const {
  return std::get<std::shared_ptr<const Vae>>(build(Slot::kVae, compute, compute));
}

support::TinySd15Options size_a() { return {}; }

support::TinySd15Options size_b() {
  support::TinySd15Options options;
  options.unet_channels = 64;
  options.unet_channel_mult = {1, 2, 4};
  options.unet_res_blocks = {2, 1, 2};
  options.unet_transformer_depth = {1, 2, 0};
  options.context_width = 128;
  options.text_layers = 3;
  options.vae_channels = 64;
  options.vae_channel_mult = {1, 1, 2, 2};
  options.vae_res_blocks = 2;
  return options;
}

double relative(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor a = found.to(at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).norm() / b.norm()).item<double>();
}

}  // namespace luna::worker
