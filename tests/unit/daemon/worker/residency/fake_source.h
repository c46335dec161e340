#pragma once

#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/worker/residency/model_source.h"

namespace luna::worker {

/// A VAE that only weighs something.
class FakeVae final : public Vae {
 public:
  explicit FakeVae(std::uint64_t bytes) : bytes_(bytes) {}
  int latent_channels() const override { return 4; }
  int factor() const override { return 8; }
  at::Tensor encode(const at::Tensor& pixels) const override { return pixels; }
  at::Tensor decode(const at::Tensor& latent) const override { return latent; }
  at::Device device() const override { return at::kCPU; }
  std::uint64_t resident_bytes() const override { return bytes_; }
  std::uint64_t encode_activation_bytes(int, int) const override { return 0; }
  std::uint64_t decode_activation_bytes(int, int) const override { return 0; }

 private:
  const std::uint64_t bytes_;
};

/// Takes any file for a VAE of 1000 bytes (500 in 16 bits) whose content is the file's text.
class FakeSource final : public ModelSource {
 public:
  struct Calls {
    std::mutex mutex;
    std::map<std::string, int> inspected, read;
    int built = 0;
    std::function<void(const std::string& path)> while_reading;
    /// What lies on the device, of which there is `device_limit`; without it there is room for all.
    std::function<std::uint64_t()> device_bytes;
    std::uint64_t device_limit = 0;
  };
  explicit FakeSource(std::shared_ptr<Calls> calls) : calls_(std::move(calls)) {}

  Result<std::vector<FoundComponent>> inspect(const std::string& path) override {
    std::lock_guard lock(calls_->mutex);
    ++calls_->inspected[path];
    FoundComponent found;
    found.detected.info.slot = Slot::kVae;
    found.detected.info.family = "fake";
    found.floating_elements = 250;
    return std::vector<FoundComponent>{found};
  }
  Result<TensorDirectory> directory(const std::string&) override {
    TensorDirectory directory;
    directory.tensors["w"] = {DType::kF32, {250}};
    return directory;
  }
  Result<std::shared_ptr<const WeightStore>> read(const std::string& path, const FoundComponent&,
                                                  at::ScalarType storage, at::Device) override {
    std::ifstream file(path);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    if (calls_->while_reading) calls_->while_reading(path);
    if (calls_->device_bytes && calls_->device_bytes() + 1000 > calls_->device_limit) {
      return error(StatusCode::kResourceExhausted, "the device is full");
    }
    std::lock_guard lock(calls_->mutex);
    ++calls_->read[path];
    WeightStore::Tensors tensors{{"w", at::zeros({250}, storage)}};
    return std::make_shared<const WeightStore>(std::move(tensors),
                                               std::map<std::string, std::string>(), content);
  }
  std::uint64_t reads() const override { return 0; }
  Result<HostWeights> pristine(const std::string&, const FoundComponent&) override {
    return error(StatusCode::kUnimplemented, "a fake model takes no adapters");
  }
  Result<Component> build(const FoundComponent&, std::shared_ptr<const WeightStore> weights,
                          at::ScalarType, at::Device) override {
    std::lock_guard lock(calls_->mutex);
    ++calls_->built;
    return Component(std::make_shared<const FakeVae>(weights->bytes()));
  }

 private:
  const std::shared_ptr<Calls> calls_;
};

}  // namespace luna::worker
