#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/worker/formats/safetensors_file.h"

namespace luna::worker {

/// All tensors of a model, open for reading, wherever they lie: in one safetensors file, in the
/// shards of an index, or in the subfolders of a diffusers folder, whose names then stand before
/// the tensors' ("unet/conv_in.weight"). What a shard holds and the index gives to another, or does
/// not name, is left out.
class ModelTensors {
 public:
  struct Tensor {
    std::string name;
    const SafetensorsFile* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
  };

  /// Errors as find_model_files() and SafetensorsFile::open(); INVALID_ARGUMENT names index, shard
  /// and tensor when a shard lacks one that the index places there. What component_metadata() and
  /// check_scheduler_config() answer, with the file's name.
  static Result<ModelTensors> open(const std::string& path);

  /// File by file, in the order of the bytes.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// The files' own, and what their config.json says.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// SafetensorsFile::check_unchanged() of every file.
  Status check_unchanged() const;

 private:
  ModelTensors() = default;
  std::vector<std::unique_ptr<const SafetensorsFile>> files_;
  std::vector<Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace luna::worker
