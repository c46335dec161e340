#include "daemon/worker/residency/model_source.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "common/model_files/model_files.h"
#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/ops/scalar_types.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/weight_loader.h"

namespace luna::worker {
namespace {

FoundComponent measure(const TensorDirectory& directory, DetectedComponent detected) {
  FoundComponent found;
  found.detected = std::move(detected);
  std::map<DType, std::uint64_t> floating;
  std::uint64_t file_bytes = 0;
  for (const auto& [name, spec] : directory.tensors) {
    if (found.detected.rename(name).empty()) continue;
    file_bytes += spec.byte_size();
    if (at::isFloatingType(scalar_type_of(spec.dtype))) {
      floating[spec.dtype] += static_cast<std::uint64_t>(spec.numel());
      found.floating_elements += static_cast<std::uint64_t>(spec.numel());
      found.packed_elements += ops::packed_elements_bound(spec.shape);
    } else {
      found.other_bytes += spec.byte_size();
    }
  }
  std::uint64_t most = 0;
  for (const auto& [type, elements] : floating) {
    if (elements > most) {
      most = elements;
      found.file_type = type;
    }
  }
  found.detected.info.file_bytes = file_bytes;
  return found;
}

class FileSource final : public ModelSource {
 public:
  explicit FileSource(std::shared_ptr<HostCopies> copies) : copies_(std::move(copies)) {}

  Result<std::vector<FoundComponent>> inspect(const std::string& path) override {
    LUNA_ASSIGN_OR_RETURN(const TensorDirectory directory, this->directory(path));
    auto detected = detect_components(directory);
    LUNA_RETURN_IF_ERROR(detected.status().with_context(path));
    std::vector<FoundComponent> found;
    for (DetectedComponent& component : *detected)
      found.push_back(measure(directory, std::move(component)));
    return found;
  }

  Result<TensorDirectory> directory(const std::string& path) override {
    return read_directory(path);
  }

  Result<std::shared_ptr<const WeightStore>> read(const std::string& path,
                                                  const FoundComponent& found,
                                                  at::ScalarType storage,
                                                  at::Device device) override {
    LUNA_ASSIGN_OR_RETURN(const HostWeights weights, pristine(path, found));
    auto placed = place_weights(weights, storage, device);
    LUNA_RETURN_IF_ERROR(placed.status().with_context(path));
    return placed;
  }

  Result<HostWeights> pristine(const std::string& path, const FoundComponent& found) override {
    LUNA_ASSIGN_OR_RETURN(FileIdentity file, identify_model(path));
    return host_weights({std::move(file), found.detected.info.slot}, found);
  }

  std::uint64_t reads() const override { return reads_; }

  Result<Component> build(const FoundComponent& found, std::shared_ptr<const WeightStore> weights,
                          at::ScalarType compute, at::Device device) override {
    return torch_call("building a " + found.detected.info.family, [&] {
      return build_component(found.detected.info, std::move(weights), compute, device);
    });
  }

 private:
  Result<HostWeights> host_weights(const ComponentSource& source, const FoundComponent& found) {
    if (copies_) {
      if (auto copy = copies_->find(source)) return *std::move(copy);
    }
    ++reads_;
    auto weights = read_weights(source.file.path, found.detected.rename);
    if (copies_) weights.ok() ? copies_->keep(source, *weights) : copies_->give_up(source);
    return weights;
  }

  const std::shared_ptr<HostCopies> copies_;
  std::atomic<std::uint64_t> reads_ = 0;
};

}  // namespace

std::uint64_t FoundComponent::bytes_as(const ComponentTypes& types, at::Device device) const {
  const std::uint64_t elements = ops::can_pack(device, types.compute)
                                     ? std::max(floating_elements, packed_elements)
                                     : floating_elements;
  const std::size_t size =
      std::max(c10::elementSize(types.storage), c10::elementSize(types.compute));
  return elements * size + other_bytes;
}

std::unique_ptr<ModelSource> make_file_source(std::shared_ptr<HostCopies> copies) {
  return std::make_unique<FileSource>(std::move(copies));
}

WeightStore::Tensors running_weights_of(const Component& component) {
  return std::visit(
      [](const auto& model) -> WeightStore::Tensors {
        if constexpr (requires { model->running_weights(); }) {
          return model->running_weights();
        } else {
          return {};
        }
      },
      component);
}

std::uint64_t resident_bytes_of(const Component& component) {
  return std::visit([](const auto& model) { return model->resident_bytes(); }, component);
}

}  // namespace luna::worker
