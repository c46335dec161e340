#include "daemon/worker/weights/weight_loader.h"

#include <algorithm>
#include <thread>

#include <fmt/ranges.h>

#include "common/hash/sha256.h"
#include "common/local/memory.h"
#include "daemon/worker/ops/scalar_types.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/model_tensors.h"
#include "daemon/worker/weights/parallel_reader.h"

namespace luna::worker {
namespace {

// Reading and hashing saturate a disk with few threads; the machine has other work.
constexpr std::size_t kReaders = 4;

// Tensors begin where vector instructions like it.
constexpr std::uint64_t kAlignment = 64;

/// The tensors of one component in the order of the files, and where each shall lie.
struct Layout {
  std::vector<const ModelTensors::Tensor*> sources;
  std::vector<HostTensor> tensors;
  std::uint64_t bytes = 0;
};

Result<Layout> lay_out(const std::string& path, const ModelTensors& model, const Rename& rename) {
  Layout layout;
  std::map<std::string, const ModelTensors::Tensor*> taken;
  for (const ModelTensors::Tensor& source : model.tensors()) {
    std::string name = rename ? rename(source.name) : source.name;
    if (name.empty()) continue;
    const auto [other, fresh] = taken.emplace(name, &source);
    if (!fresh) {
      return error(StatusCode::kInvalidArgument, "{}: '{}' and '{}' are both '{}' of one component",
                   path, other->second->name, source.name, name);
    }
    const TensorSpec& spec = source.entry->spec;
    layout.sources.push_back(&source);
    layout.tensors.push_back({std::move(name), spec, layout.bytes});
    layout.bytes += (spec.byte_size() + kAlignment - 1) / kAlignment * kAlignment;
  }
  if (layout.sources.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "{}: none of its {} tensors belongs to the component", path,
                 model.tensors().size());
  }
  return layout;
}

/// A matrix and a convolution of 1x1 are one: diffusers stores the VAE's attention as the one, ldm
/// as the other.
std::vector<std::int64_t> shape_to_hash(std::vector<std::int64_t> shape) {
  if (shape.size() == 4 && shape[2] == 1 && shape[3] == 1) shape.resize(2);
  return shape;
}

/// One line a tensor; lengths make the names unambiguous.
std::string line_of(const HostTensor& tensor, const std::string& digest) {
  return fmt::format("{} {} {} {} {}\n", tensor.name.size(), tensor.name,
                     dtype_name(tensor.spec.dtype),
                     fmt::join(shape_to_hash(tensor.spec.shape), ","), digest);
}

/// A view of the sealed memory, which lives as long as the tensor does.
at::Tensor view_of(const BytesPtr& bytes, const HostTensor& tensor) {
  // A bool's byte may be anything in a file; only 0 and 1 are values.
  const bool as_bool = tensor.spec.dtype == DType::kBool;
  const at::ScalarType type = as_bool ? at::kByte : scalar_type_of(tensor.spec.dtype);
  auto* const data = const_cast<std::byte*>(bytes->view().data()) + tensor.offset;
  const at::Tensor view =
      at::from_blob(data, tensor.spec.shape, [bytes](void*) {}, at::TensorOptions().dtype(type));
  return as_bool ? view.ne(0) : view;
}

}  // namespace

Result<TensorDirectory> read_directory(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(const ModelTensors model, ModelTensors::open(path));
  TensorDirectory directory;
  directory.metadata = model.metadata();
  for (const ModelTensors::Tensor& tensor : model.tensors())
    directory.tensors.emplace(tensor.name, tensor.entry->spec);
  return directory;
}

Result<HostWeights> read_weights(const std::string& path, const Rename& rename) {
  LUNA_ASSIGN_OR_RETURN(const ModelTensors model, ModelTensors::open(path));
  LUNA_ASSIGN_OR_RETURN(Layout layout, lay_out(path, model, rename));
  auto made = MemoryRegion::create("luna-weights", std::max<std::uint64_t>(layout.bytes, 1));
  LUNA_RETURN_IF_ERROR(made.status().with_context(path));
  MemoryRegion region = *std::move(made);

  std::vector<TensorDestination> destinations;
  for (std::size_t i = 0; i < layout.sources.size(); ++i) {
    const HostTensor& tensor = layout.tensors[i];
    destinations.push_back({layout.sources[i]->file, layout.sources[i]->entry,
                            region.bytes().subspan(tensor.offset, tensor.spec.byte_size())});
  }
  std::map<std::string, std::string> lines;
  {
    ParallelReader reader(
        std::move(destinations),
        std::min<std::size_t>(kReaders, std::max(2u, std::thread::hardware_concurrency())));
    for (const HostTensor& tensor : layout.tensors) {
      LUNA_ASSIGN_OR_RETURN(const std::string digest, reader.next());
      lines.emplace(tensor.name, line_of(tensor, digest));
    }
  }
  LUNA_RETURN_IF_ERROR(model.check_unchanged());

  Sha256 hash;
  for (const auto& [name, line] : lines) hash.update(line);
  HostWeights weights{hash.finish(), std::move(layout.tensors), model.metadata(), nullptr};
  LUNA_ASSIGN_OR_RETURN(weights.bytes, std::move(region).finish());
  return weights;
}

Result<std::shared_ptr<const WeightStore>> place_weights(const HostWeights& weights,
                                                         at::ScalarType storage,
                                                         at::Device device) {
  LUNA_RETURN_IF_ERROR(weights.validate());
  WeightStore::Tensors tensors;
  for (const HostTensor& tensor : weights.tensors) {
    LUNA_ASSIGN_OR_RETURN(
        at::Tensor placed, torch_call(fmt::format("placing tensor '{}'", tensor.name), [&] {
          const at::Tensor view = view_of(weights.bytes, tensor);
          const bool weight = at::isFloatingType(view.scalar_type()) && view.numel() != 1;
          return view.to(weight ? storage : view.scalar_type()).to(device);
        }));
    tensors.emplace(tensor.name, std::move(placed));
  }
  return std::make_shared<const WeightStore>(std::move(tensors), weights.metadata,
                                             weights.content_hash);
}

at::Tensor pristine_tensor(const HostWeights& weights, const std::string& name) {
  const auto tensor = std::ranges::find(weights.tensors, name, &HostTensor::name);
  return view_of(weights.bytes, *tensor);
}

Result<std::shared_ptr<const WeightStore>> load_weights(const WeightRequest& request) {
  LUNA_ASSIGN_OR_RETURN(const HostWeights weights, read_weights(request.path, request.rename));
  return place_weights(weights, request.storage, request.device);
}

}  // namespace luna::worker
