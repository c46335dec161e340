#include "common/model_files/model_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>

#include "common/hash/sha256.h"
#include "common/local/identify.h"
#include "common/model_files/small_file.h"

namespace luna {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIndexesKept = 64;
constexpr std::string_view kDiffusersStem = "diffusion_pytorch_model";
constexpr std::string_view kTransformersStem = "model";

struct Subfolder {
  std::string_view name;
  std::string_view stem;
};
constexpr std::array<Subfolder, 5> kSubfolders = {{{"unet", kDiffusersStem},
                                                   {"transformer", kDiffusersStem},
                                                   {"vae", kDiffusersStem},
                                                   {"text_encoder", kTransformersStem},
                                                   {"text_encoder_2", kTransformersStem}}};
constexpr std::array<std::string_view, 5> kEndings = {
    ".fp16.safetensors", ".safetensors", ".fp16.safetensors.index.json",
    ".safetensors.index.fp16.json", ".safetensors.index.json"};

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::string if_file(std::string path) { return is_file(path) ? std::move(path) : std::string(); }

/// Parsed indexes by their state; a rewritten one is another.
class IndexShelf {
 public:
  Result<std::shared_ptr<const ShardIndex>> get(const std::string& path) {
    LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify(path));
    {
      const std::lock_guard lock(mutex_);
      if (const auto known = indexes_.find(file); known != indexes_.end()) return known->second;
    }
    LUNA_ASSIGN_OR_RETURN(const std::string json, read_small_file(path, kMaxShardIndexBytes));
    Result<ShardIndex> parsed = parse_shard_index(json);
    if (!parsed.ok()) return parsed.status().with_context(path);
    auto index = std::make_shared<const ShardIndex>(*std::move(parsed));
    const std::lock_guard lock(mutex_);
    if (indexes_.size() >= kIndexesKept) indexes_.clear();
    indexes_.insert_or_assign(file, index);
    return index;
  }

 private:
  std::mutex mutex_;
  std::map<FileIdentity, std::shared_ptr<const ShardIndex>> indexes_;
};

Result<TensorFiles> sharded(const std::string& path) {
  static IndexShelf shelf;
  TensorFiles part;
  LUNA_ASSIGN_OR_RETURN(part.index, shelf.get(path));
  part.index_path = path;
  const fs::path folder = fs::path(path).parent_path();
  for (const std::string& shard : part.index->shards())
    part.files.push_back((folder / shard).string());
  part.config = if_file((folder / "config.json").string());
  return part;
}

/// "diffusion_pytorch_model.fp16.safetensors": such a file has its config.json beside it.
bool has_usual_name(const fs::path& path) {
  const std::string name = path.filename().string();
  return std::ranges::any_of(kSubfolders, [&](const Subfolder& subfolder) {
    const std::string stem(subfolder.stem);
    return name == stem + ".safetensors" || name == stem + ".fp16.safetensors";
  });
}

Result<TensorFiles> files_of(const std::string& path) {
  if (names_shard_index(path)) return sharded(path);
  TensorFiles part;
  part.files = {path};
  if (has_usual_name(path))
    part.config = if_file((fs::path(path).parent_path() / "config.json").string());
  return part;
}

/// nullopt for a subfolder that is not there.
Result<std::optional<TensorFiles>> subfolder_files(const fs::path& folder,
                                                   const Subfolder& subfolder) {
  std::error_code ignored;
  const fs::path below = folder / subfolder.name;
  if (!fs::is_directory(below, ignored)) return std::optional<TensorFiles>();
  for (const std::string_view ending : kEndings) {
    const std::string path = (below / (std::string(subfolder.stem) + std::string(ending))).string();
    if (!is_file(path)) continue;
    LUNA_ASSIGN_OR_RETURN(TensorFiles part, files_of(path));
    part.prefix = std::string(subfolder.name) + "/";
    return std::optional(std::move(part));
  }
  return error(StatusCode::kInvalidArgument,
               "{}: expected {}[.fp16].safetensors, or its .safetensors.index.json, found neither "
               "(.bin files are pickles and not read)",
               below.string(), subfolder.stem);
}

Result<ModelFiles> folder_files(const std::string& path) {
  const fs::path folder(path);
  ModelFiles files;
  files.folder_index = if_file((folder / "model_index.json").string());
  if (files.folder_index.empty()) {
    return error(StatusCode::kInvalidArgument,
                 "model file {}: expected a regular file, or a diffusers folder, found a folder "
                 "without a model_index.json",
                 path);
  }
  files.scheduler = if_file((folder / "scheduler" / "scheduler_config.json").string());
  for (const Subfolder& subfolder : kSubfolders) {
    LUNA_ASSIGN_OR_RETURN(auto part, subfolder_files(folder, subfolder));
    if (part) files.parts.push_back(*std::move(part));
  }
  if (!files.parts.empty()) return files;
  return error(StatusCode::kInvalidArgument,
               "diffusers folder {}: expected a subfolder unet, vae, text_encoder or "
               "text_encoder_2, found none",
               path);
}

/// Says which index and tensor want a shard that is not there.
Status missing_shard(const TensorFiles& part, const std::string& shard, const Status& why) {
  const std::string below =
      fs::path(shard).lexically_relative(fs::path(part.index_path).parent_path()).string();
  const auto& shard_of = part.index->shard_of;
  const auto tensor = std::ranges::find_if(shard_of, [&](const auto& entry) {
    return fs::path(entry.second).lexically_normal() == fs::path(below).lexically_normal();
  });
  return error(why.code(), "{}: its shard '{}', which should hold '{}': {}", part.index_path, below,
               tensor == shard_of.end() ? "" : tensor->first, why.message());
}

/// Adds the files' identities up.
class Sum {
 public:
  explicit Sum(const std::string& path) { sum_.path = path; }
  Status add(const std::string& path) {
    LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify(path));
    if (count_++ == 0) {
      sum_.device = file.device;
      sum_.inode = file.inode;
    }
    sum_.size += file.size;
    sum_.mtime_ns = std::max(sum_.mtime_ns, file.mtime_ns);
    sum_.ctime_ns = std::max(sum_.ctime_ns, file.ctime_ns);
    hash_.update(fmt::format("{} {} {} {} {} {} {}\n", file.path.size(), file.path, file.device,
                             file.inode, file.size, file.mtime_ns, file.ctime_ns));
    return {};
  }
  FileIdentity take() {
    sum_.parts = hash_.finish();
    return std::move(sum_);
  }

 private:
  FileIdentity sum_;
  Sha256 hash_;
  std::size_t count_ = 0;
};

Status add_part(Sum& sum, const TensorFiles& part) {
  if (!part.index_path.empty()) LUNA_RETURN_IF_ERROR(sum.add(part.index_path));
  for (const std::string& file : part.files) {
    const Status added = sum.add(file);
    if (!added.ok()) return part.index ? missing_shard(part, file, added) : added;
  }
  return part.config.empty() ? Status() : sum.add(part.config);
}

}  // namespace

std::vector<std::string> ModelFiles::all() const {
  std::vector<std::string> files;
  const auto add = [&](const std::string& path) {
    if (!path.empty()) files.push_back(path);
  };
  add(folder_index);
  add(scheduler);
  for (const TensorFiles& part : parts) {
    add(part.index_path);
    for (const std::string& file : part.files) add(file);
    add(part.config);
  }
  return files;
}

bool is_diffusers_folder(const std::string& path) {
  return is_file((fs::path(path) / "model_index.json").string());
}

Result<ModelFiles> find_model_files(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return folder_files(path);
  LUNA_ASSIGN_OR_RETURN(TensorFiles part, files_of(path));
  ModelFiles files;
  files.parts.push_back(std::move(part));
  return files;
}

Result<FileIdentity> identify_model(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(const ModelFiles files, find_model_files(path));
  const TensorFiles& first = files.parts.front();
  const bool alone = files.folder_index.empty() && first.index_path.empty() && first.config.empty();
  if (alone) return identify(path);
  Sum sum(path);
  if (!files.folder_index.empty()) LUNA_RETURN_IF_ERROR(sum.add(files.folder_index));
  if (!files.scheduler.empty()) LUNA_RETURN_IF_ERROR(sum.add(files.scheduler));
  for (const TensorFiles& part : files.parts) LUNA_RETURN_IF_ERROR(add_part(sum, part));
  return sum.take();
}

}  // namespace luna
