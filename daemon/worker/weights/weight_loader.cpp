#include "daemon/worker/weights/weight_loader.h"

#include <algorithm>
#include <thread>

#include <fmt/ranges.h>

#include "daemon/worker/formats/safetensors_file.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/weights/parallel_reader.h"
#include "daemon/worker/weights/sha256.h"

namespace luna::worker {
namespace {

// Reading and hashing saturate a disk with few threads; the machine has other work.
constexpr std::size_t kReaders = 4;

/// The tensors of one component: its own name for each entry, in the order of the file.
struct Selection {
  std::vector<const SafetensorsEntry*> entries;
  std::vector<std::string> names;
};

Result<Selection> select(const SafetensorsFile& file, const WeightRequest& request) {
  Selection selection;
  std::map<std::string, const SafetensorsEntry*> taken;
  for (const SafetensorsEntry& entry : file.header().entries) {
    std::string name = request.rename ? request.rename(entry.name) : entry.name;
    if (name.empty()) continue;
    const auto [other, fresh] = taken.emplace(name, &entry);
    if (!fresh) {
      return error(StatusCode::kInvalidArgument, "{}: '{}' and '{}' are both '{}' of one component",
                   request.path, other->second->name, entry.name, name);
    }
    selection.entries.push_back(&entry);
    selection.names.push_back(std::move(name));
  }
  if (selection.entries.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "{}: none of its {} tensors belongs to the component", request.path,
                 file.header().entries.size());
  }
  return selection;
}

at::Tensor placed(const at::Tensor& raw, const WeightRequest& request) {
  const at::ScalarType type =
      at::isFloatingType(raw.scalar_type()) ? request.storage : raw.scalar_type();
  return raw.to(type).to(request.device);
}

/// One line a tensor; lengths make the names unambiguous.
std::string line_of(const std::string& name, const TensorSpec& spec, const std::string& digest) {
  return fmt::format("{} {} {} {} {}\n", name.size(), name, dtype_name(spec.dtype),
                     fmt::join(spec.shape, ","), digest);
}

}  // namespace

Result<TensorDirectory> read_directory(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(path));
  TensorDirectory directory;
  directory.metadata = file.header().metadata;
  for (const SafetensorsEntry& entry : file.header().entries)
    directory.tensors.emplace(entry.name, entry.spec);
  return directory;
}

Result<std::shared_ptr<const WeightStore>> load_weights(const WeightRequest& request) {
  LUNA_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(request.path));
  LUNA_ASSIGN_OR_RETURN(const Selection selection, select(file, request));

  WeightStore::Tensors tensors;
  std::map<std::string, std::string> lines;
  {
    ParallelReader reader(
        file, selection.entries,
        std::min<std::size_t>(kReaders, std::max(2u, std::thread::hardware_concurrency())));
    for (std::size_t i = 0; i < selection.entries.size(); ++i) {
      const std::string& name = selection.names[i];
      LUNA_ASSIGN_OR_RETURN(const RawTensor raw, reader.next());
      lines.emplace(name, line_of(name, selection.entries[i]->spec, raw.digest));
      LUNA_ASSIGN_OR_RETURN(at::Tensor tensor,
                            torch_call(fmt::format("{}: placing tensor '{}'", request.path, name),
                                       [&] { return placed(raw.tensor, request); }));
      tensors.emplace(name, std::move(tensor));
    }
  }
  LUNA_RETURN_IF_ERROR(file.check_unchanged());

  Sha256 hash;
  for (const auto& [name, line] : lines) hash.update(line);
  return std::shared_ptr<const WeightStore>(
      std::make_shared<WeightStore>(std::move(tensors), file.header().metadata, hash.finish()));
}

}  // namespace luna::worker
