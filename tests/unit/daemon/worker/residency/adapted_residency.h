#pragma once

#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/hash/sha256.h"
#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/residency/residency.h"
#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {

/// Reads files, and builds unless it is told to fail.
class FailingSource final : public ModelSource {
 public:
  explicit FailingSource(std::shared_ptr<bool> fails) : fails_(std::move(fails)) {}
  Result<std::vector<FoundComponent>> inspect(const std::string& path) override {
    return files_->inspect(path);
  }
  Result<TensorDirectory> directory(const std::string& path) override {
    return files_->directory(path);
  }
  Result<std::shared_ptr<const WeightStore>> read(const std::string& path,
                                                  const FoundComponent& found,
                                                  at::ScalarType storage,
                                                  at::Device device) override {
    return files_->read(path, found, storage, device);
  }
  Result<HostWeights> pristine(const std::string& path, const FoundComponent& found) override {
    return files_->pristine(path, found);
  }
  std::uint64_t reads() const override { return files_->reads(); }
  Result<Component> build(const FoundComponent& found, std::shared_ptr<const WeightStore> weights,
                          at::ScalarType compute, at::Device device) override {
    if (*fails_) return error(StatusCode::kInternal, "it was told to fail");
    return files_->build(found, std::move(weights), compute, device);
  }

 private:
  const std::shared_ptr<bool> fails_;
  const std::unique_ptr<ModelSource> files_ = make_file_source();
};

/// A tiny SD1.5's UNet and LoRAs for it.
class AdaptedResidency : public testing::Test {
 protected:
  using Set = std::vector<AdapterUse>;
  inline static const std::string kBlock = "lora_unet_mid_block_attentions_0_transformer_blocks_0_";
  inline static const std::string kChanged =
      "middle_block.1.transformer_blocks.0.attn1.to_v.weight";

  void SetUp() override {
    support::write_tiny_sd15(checkpoint_, {});
    open();
  }
  void open(const Residency::Options& options = {}) {
    residency_ = std::make_unique<Residency>(options, std::make_unique<FailingSource>(fails_));
  }
  /// A LoRA that changes `kChanged`; with `more`, two other weights too, one of which oneDNN packs.
  std::string lora(const std::string& name, bool more = false) {
    support::SafetensorsWriter writer;
    const auto add = [&](const std::string& layer, std::vector<std::int64_t> up,
                         std::vector<std::int64_t> down) {
      for (const auto& [part, shape] : {std::pair("up", up), std::pair("down", down)}) {
        const auto count = static_cast<std::size_t>(c10::multiply_integers(shape));
        writer.add(layer + ".lora_" + part + ".weight", shape,
                   support::uniform_values(name + layer + part, count));
      }
    };
    add(kBlock + "attn1_to_v", {64, 2}, {2, 64});
    if (more) {
      add(kBlock + "ff_net_2", {64, 2}, {2, 256});
      add("lora_unet_conv_in", {32, 2, 1, 1}, {2, 4, 3, 3});
    }
    writer.write(dir_.file(name));
    return dir_.file(name);
  }
  Result<ModelHandle> ask(const Set& set) {
    std::promise<Result<ModelHandle>> promise;
    residency_->acquire(Slot::kUNet, {checkpoint_}, set,
                        [&](Result<ModelHandle> handle) { promise.set_value(std::move(handle)); });
    return promise.get_future().get();
  }
  ModelHandle get(const Set& set = {}) {
    auto handle = ask(set);
    EXPECT_TRUE(handle.ok()) << handle.status().to_string();
    return handle.ok() ? *handle : nullptr;
  }
  ModelHandle get(const std::string& lora, double strength) { return get({{lora, strength, {}}}); }
  void unload() {
    std::promise<void> done;
    UnloadModelRequest request;
    request.path = checkpoint_;
    residency_->unload(request, [&](const UnloadModelReply&) { done.set_value(); });
    done.get_future().get();
  }
  OverlayMemoryUse use() const { return residency_->overlay_memory_use(); }

  static const void* address_of(const ModelHandle& model) {
    return running_weights_of(model->model).at(kChanged).const_data_ptr();
  }
  /// Of everything that runs in plain form; oneDNN's own forms are copies that are never written.
  static std::string hash_of(const ModelHandle& model) {
    Sha256 hash;
    for (const auto& [name, tensor] : running_weights_of(model->model)) {
      if (ops::is_packed(tensor)) continue;
      const at::Tensor plain = tensor.contiguous();
      hash.update(std::as_bytes(
          std::span(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes())));
    }
    return hash.finish();
  }

  support::TempDir dir_;
  const std::string checkpoint_ = dir_.file("tiny.safetensors");
  const std::shared_ptr<bool> fails_ = std::make_shared<bool>(false);
  std::unique_ptr<Residency> residency_;
};

}  // namespace luna::worker
