#include "daemon/worker/weights/model_tensors.h"

#include <filesystem>
#include <set>
#include <utility>

#include "common/model_files/model_files.h"
#include "common/model_files/small_file.h"
#include "daemon/worker/formats/component_config.h"

namespace luna::worker {
namespace {

/// The tensors that the index places in each shard, by the shard's path.
std::map<std::string, std::set<std::string>> by_shard(const TensorFiles& part) {
  std::map<std::string, std::set<std::string>> tensors;
  if (!part.index) return tensors;
  const auto folder = std::filesystem::path(part.index_path).parent_path();
  for (const auto& [tensor, shard] : part.index->shard_of)
    tensors[(folder / shard).string()].insert(tensor);
  return tensors;
}

Status check_folder(const ModelFiles& files) {
  if (files.scheduler.empty()) return {};
  LUNA_ASSIGN_OR_RETURN(const std::string json,
                        read_small_file(files.scheduler, kMaxComponentConfig));
  return check_scheduler_config(json).with_context(files.scheduler);
}

}  // namespace

Result<ModelTensors> ModelTensors::open(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(const ModelFiles files, find_model_files(path));
  LUNA_RETURN_IF_ERROR(check_folder(files));
  ModelTensors model;
  for (const TensorFiles& part : files.parts) {
    auto expected = by_shard(part);
    for (const std::string& name : part.files) {
      Result<SafetensorsFile> opened = SafetensorsFile::open(name);
      if (!opened.ok()) {
        return part.index ? opened.status().with_context(part.index_path) : opened.status();
      }
      model.files_.push_back(std::make_unique<const SafetensorsFile>(*std::move(opened)));
      const SafetensorsFile& file = *model.files_.back();
      std::set<std::string>& wanted = expected[name];
      for (const SafetensorsEntry& entry : file.header().entries) {
        if (part.index && wanted.erase(entry.name) == 0) continue;
        model.tensors_.push_back({part.prefix + entry.name, &file, &entry});
      }
      if (part.index && !wanted.empty()) {
        return error(
            StatusCode::kInvalidArgument,
            "{}: the tensor '{}'{} should lie in the shard {}, which has none of that name",
            part.index_path, *wanted.begin(),
            wanted.size() > 1 ? fmt::format(" (and {} more)", wanted.size() - 1) : "", name);
      }
      model.metadata_.insert(file.header().metadata.begin(), file.header().metadata.end());
    }
    if (part.config.empty()) continue;
    LUNA_ASSIGN_OR_RETURN(const std::string json,
                          read_small_file(part.config, kMaxComponentConfig));
    auto said = component_metadata(json);
    LUNA_RETURN_IF_ERROR(said.status().with_context(part.config));
    model.metadata_.insert(said->begin(), said->end());
  }
  return model;
}

Status ModelTensors::check_unchanged() const {
  for (const auto& file : files_) LUNA_RETURN_IF_ERROR(file->check_unchanged());
  return {};
}

}  // namespace luna::worker
