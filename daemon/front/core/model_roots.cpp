#include "daemon/front/core/model_roots.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <set>

#include <fmt/ranges.h>

#include "common/base/nearest_name.h"
#include "common/config/extra_model_paths.h"
#include "common/model_files/model_files.h"

namespace luna::front {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxName = 4096;

constexpr std::array<std::string_view, 18> kKinds = {"checkpoints",   "diffusion_models",
                                                     "unet",          "vae",
                                                     "text_encoders", "clip",
                                                     "clip_vision",   "loras",
                                                     "embeddings",    "upscale_models",
                                                     "vae_approx",    "controlnet",
                                                     "style_models",  "gligen",
                                                     "hypernetworks", "ultralytics",
                                                     "sams",          "diffusers"};

constexpr std::array<std::string_view, 8> kExtensions = {".safetensors", ".sft", ".gguf", ".ckpt",
                                                         ".pt",          ".pt2", ".pth",  ".bin"};

bool is_model_file(const fs::path& path) {
  return std::ranges::find(kExtensions, path.extension().string()) != kExtensions.end() ||
         names_shard_index(path.string()) || is_diffusers_folder(path.string());
}

/// Where a name leads; "" when it leads nowhere. The last link to a shard index is followed only to
/// what is named as one: a download cache's links lead to files without names, and the shards lie
/// beside the link.
std::string resolved_path(const std::string& candidate) {
  std::error_code failure;
  const fs::path resolved = fs::canonical(candidate, failure);
  if (failure) return {};
  if (!names_shard_index(candidate) || names_shard_index(resolved.string()))
    return resolved.string();
  const fs::path path(candidate);
  const fs::path folder = fs::canonical(path.parent_path(), failure);
  return failure ? std::string() : (folder / path.filename()).string();
}

/// Of all files that a model consists of; 0 when some of them cannot be told.
std::uint64_t bytes_of(const fs::path& path) {
  const Result<FileIdentity> identity = identify_model(path.string());
  return identity.ok() ? identity->size : 0;
}

/// Takes out what the indexes among `files` name.
void leave_out_shards(std::vector<fs::path>& files) {
  std::set<std::string> shards;
  for (const fs::path& file : files) {
    if (!names_shard_index(file.string())) continue;
    const Result<ModelFiles> model = find_model_files(file.string());
    if (!model.ok()) continue;
    shards.insert(model->parts.front().files.begin(), model->parts.front().files.end());
  }
  std::erase_if(files, [&](const fs::path& file) { return shards.contains(file.string()); });
}

/// "/a/b/c" lies below "/a/b"; "/a/bc" does not.
bool lies_below(const std::string& path, const std::string& root) {
  if (root == "/") return true;
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

/// Collects files and diffusers folders below `folder`, links to folders followed once each.
void collect(const fs::path& folder, std::set<std::string>& visited,
             const std::function<bool(const fs::path&)>& take) {
  std::error_code failure;
  const std::string resolved = fs::canonical(folder, failure).string();
  if (failure || !visited.insert(resolved).second) return;
  fs::directory_iterator entries(folder, fs::directory_options::skip_permission_denied, failure);
  std::vector<fs::path> subfolders;
  std::vector<fs::path> files;
  for (; !failure && entries != fs::directory_iterator(); entries.increment(failure)) {
    std::error_code ignored;
    if (entries->is_directory(ignored)) {
      const bool model = is_diffusers_folder(entries->path().string());
      (model ? files : subfolders).push_back(entries->path());
    } else if (entries->is_regular_file(ignored)) {
      files.push_back(entries->path());
    }
  }
  leave_out_shards(files);
  std::ranges::sort(files);
  std::ranges::sort(subfolders);
  for (const fs::path& file : files) {
    if (!take(file)) return;
  }
  for (const fs::path& subfolder : subfolders) collect(subfolder, visited, take);
}

}  // namespace

Result<ModelRoots> ModelRoots::open(const Config::Models& config) {
  ModelRoots roots;
  const auto add_root = [&](const std::string& path) -> Status {
    std::error_code failure;
    const std::string resolved = fs::canonical(path, failure).string();
    if (failure || !fs::is_directory(resolved, failure)) {
      return error(StatusCode::kNotFound, "models.roots: '{}' is not a folder", path);
    }
    roots.roots_.push_back(resolved);
    for (const std::string_view kind : kKinds) {
      roots.folders_[std::string(kind)].push_back((fs::path(resolved) / kind).string());
    }
    return {};
  };
  for (const std::string& root : config.roots) LUNA_RETURN_IF_ERROR(add_root(root));
  if (!config.extra_model_paths.empty()) {
    LUNA_ASSIGN_OR_RETURN(const std::vector<ExtraModelPath> extra,
                          load_extra_model_paths(config.extra_model_paths));
    for (const ExtraModelPath& path : extra) {
      std::error_code failure;
      const std::string resolved = fs::canonical(path.folder, failure).string();
      if (failure) continue;
      roots.roots_.push_back(resolved);
      roots.folders_[path.kind].push_back(resolved);
    }
  }
  return roots;
}

std::vector<std::string_view> ModelRoots::checkpoint_kinds() {
  return {"checkpoints", "diffusers"};
}
std::vector<std::string_view> ModelRoots::lora_kinds() { return {"loras"}; }
std::vector<std::string_view> ModelRoots::all_kinds() { return {kKinds.begin(), kKinds.end()}; }

bool ModelRoots::below_a_root(const std::string& resolved) const {
  return std::ranges::any_of(roots_,
                             [&](const std::string& root) { return lies_below(resolved, root); });
}

bool ModelRoots::lies_below_roots(const std::string& model) const {
  const Result<ModelFiles> files = find_model_files(model);
  // One that cannot be taken apart is refused when it is looked at.
  if (!files.ok()) return true;
  return std::ranges::all_of(files->all(), [&](const std::string& file) {
    std::error_code failure;
    return below_a_root(fs::weakly_canonical(file, failure).string());
  });
}

Result<std::string> ModelRoots::checked(const std::string& candidate, const std::string& name,
                                        bool anywhere) const {
  std::error_code failure;
  const auto outside = [&] {
    return error(StatusCode::kPermissionDenied,
                 "'{}' leads outside the model roots; over TCP only files below them are served",
                 name);
  };
  if (!anywhere && !below_a_root(fs::weakly_canonical(candidate, failure).string()))
    return outside();
  const std::string resolved = resolved_path(candidate);
  if (resolved.empty()) return error(StatusCode::kNotFound, "no file '{}'", name);
  const fs::file_status status = fs::status(resolved, failure);
  if (fs::is_directory(status)) {
    if (!is_diffusers_folder(resolved)) {
      return error(StatusCode::kInvalidArgument,
                   "'{}' is a folder; a file, or a diffusers folder with a model_index.json, is "
                   "needed",
                   name);
    }
  } else if (!fs::is_regular_file(status)) {
    return error(StatusCode::kInvalidArgument, "'{}' is not a regular file", name);
  }
  if (!anywhere && !lies_below_roots(resolved)) return outside();
  return resolved;
}

Result<std::string> ModelRoots::find(const std::string& name,
                                     const std::vector<std::string_view>& kinds,
                                     bool anywhere) const {
  if (name.empty()) return error(StatusCode::kInvalidArgument, "a model file's name is empty");
  if (name.size() > kMaxName || name.find('\0') != std::string::npos) {
    return error(StatusCode::kInvalidArgument,
                 "a model file's name must have at most {} bytes and no zero byte, found {} bytes",
                 kMaxName, name.size());
  }
  if (name.front() == '/') {
    Result<std::string> found = checked(name, name, anywhere);
    if (found.ok() || found.status().code() != StatusCode::kNotFound) return found;
    return not_found(name, kinds, anywhere);
  }
  std::vector<std::string> candidates;
  for (const std::string_view kind : kinds) {
    if (const auto folders = folders_.find(kind); folders != folders_.end()) {
      for (const std::string& folder : folders->second) candidates.push_back(folder + "/" + name);
    }
  }
  for (const std::string& root : roots_) candidates.push_back(root + "/" + name);
  Status refused;
  for (const std::string& candidate : candidates) {
    Result<std::string> found = checked(candidate, name, anywhere);
    if (found.ok()) return found;
    if (found.status().code() != StatusCode::kNotFound && refused.ok()) refused = found.status();
  }
  return refused.ok() ? not_found(name, kinds, anywhere) : refused;
}

Status ModelRoots::not_found(const std::string& name, const std::vector<std::string_view>& kinds,
                             bool anywhere) const {
  std::vector<std::string> looked;
  std::vector<std::string> names;
  for (const std::string_view kind : kinds) {
    for (const std::string& folder : folders(kind)) looked.push_back(folder);
    if (!folders_.contains(kind)) continue;
    Result<std::vector<ModelFileInfo>> files = list(std::string(kind), anywhere);
    if (!files.ok()) continue;
    for (const ModelFileInfo& file : *files) names.push_back(file.file);
  }
  if (name.front() == '/') {
    return error(StatusCode::kNotFound, "no file '{}'{}", name,
                 did_you_mean(fs::path(name).filename().string(), names));
  }
  if (looked.empty()) {
    return error(StatusCode::kNotFound,
                 "no file '{}': none of the folders {} exists below a model root ({})", name,
                 fmt::join(kinds, ", "),
                 roots_.empty() ? "there is none: set [models] roots, or name an absolute path"
                                : fmt::format("{}", fmt::join(roots_, ", ")));
  }
  return error(StatusCode::kNotFound, "no file '{}' in {}{}", name, fmt::join(looked, ", "),
               did_you_mean(name, names));
}

Result<std::vector<ModelFileInfo>> ModelRoots::list(const std::string& kind, bool anywhere) const {
  const bool known =
      kind.empty() || folders_.contains(kind) || std::ranges::find(kKinds, kind) != kKinds.end();
  if (!known) {
    std::vector<std::string> names(kKinds.begin(), kKinds.end());
    return error(StatusCode::kNotFound, "no folder of models is called '{}'{}", kind,
                 did_you_mean(kind, names));
  }
  std::vector<ModelFileInfo> files;
  for (const auto& [name, paths] : folders_) {
    if (!kind.empty() && name != kind) continue;
    std::set<std::string> seen;
    for (const std::string& folder : paths) {
      std::set<std::string> visited;
      collect(folder, visited, [&](const fs::path& path) {
        if (!is_model_file(path)) return true;
        std::error_code failure;
        if (!anywhere && !below_a_root(fs::canonical(path, failure).string())) return true;
        const std::string relative = path.lexically_relative(folder).string();
        if (seen.insert(relative).second) files.push_back({name, relative, bytes_of(path)});
        return files.size() < kMaxListed;
      });
    }
  }
  return files;
}

std::vector<std::string> ModelRoots::folders(std::string_view kind) const {
  std::vector<std::string> existing;
  if (const auto folders = folders_.find(kind); folders != folders_.end()) {
    std::ranges::copy_if(folders->second, std::back_inserter(existing), [](const std::string& f) {
      std::error_code ignored;
      return fs::is_directory(f, ignored);
    });
  }
  return existing;
}

}  // namespace luna::front
