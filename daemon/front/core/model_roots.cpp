#include "daemon/front/core/model_roots.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <set>

#include <fmt/ranges.h>

#include "common/base/nearest_name.h"
#include "common/config/extra_model_paths.h"

namespace luna::front {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxName = 4096;

constexpr std::array<std::string_view, 17> kKinds = {"checkpoints",   "diffusion_models",
                                                     "unet",          "vae",
                                                     "text_encoders", "clip",
                                                     "clip_vision",   "loras",
                                                     "embeddings",    "upscale_models",
                                                     "vae_approx",    "controlnet",
                                                     "style_models",  "gligen",
                                                     "hypernetworks", "ultralytics",
                                                     "sams"};

constexpr std::array<std::string_view, 8> kExtensions = {".safetensors", ".sft", ".gguf", ".ckpt",
                                                         ".pt",          ".pt2", ".pth",  ".bin"};

bool is_model_file(const fs::path& path) {
  return std::ranges::find(kExtensions, path.extension().string()) != kExtensions.end();
}

/// "/a/b/c" lies below "/a/b"; "/a/bc" does not.
bool lies_below(const std::string& path, const std::string& root) {
  if (root == "/") return true;
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

/// Collects files below `folder`, links to folders followed once each.
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
      subfolders.push_back(entries->path());
    } else if (entries->is_regular_file(ignored)) {
      files.push_back(entries->path());
    }
  }
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

std::vector<std::string_view> ModelRoots::kinds_of(Slot slot) {
  switch (slot) {
    case Slot::kUNet:
      return {"diffusion_models", "unet", "checkpoints"};
    case Slot::kVae:
      return {"vae", "checkpoints"};
    case Slot::kClipL:
    case Slot::kClipG:
    case Slot::kT5:
    case Slot::kLlm:
      return {"text_encoders", "clip", "checkpoints"};
    case Slot::kVision:
      return {"clip_vision", "checkpoints"};
    case Slot::kUpscale:
      return {"upscale_models"};
    case Slot::kPreview:
      return {"vae_approx"};
  }
  return all_kinds();
}

std::vector<std::string_view> ModelRoots::checkpoint_kinds() { return {"checkpoints"}; }
std::vector<std::string_view> ModelRoots::lora_kinds() { return {"loras"}; }
std::vector<std::string_view> ModelRoots::all_kinds() { return {kKinds.begin(), kKinds.end()}; }

bool ModelRoots::below_a_root(const std::string& resolved) const {
  return std::ranges::any_of(roots_,
                             [&](const std::string& root) { return lies_below(resolved, root); });
}

Result<std::string> ModelRoots::checked(const std::string& candidate, const std::string& name,
                                        bool anywhere) const {
  std::error_code failure;
  const std::string resolved = fs::canonical(candidate, failure).string();
  const std::string reached =
      failure ? fs::weakly_canonical(candidate, failure).string() : resolved;
  if (!anywhere && !below_a_root(reached)) {
    return error(StatusCode::kPermissionDenied,
                 "'{}' leads outside the model roots; over TCP only files below them are served",
                 name);
  }
  if (resolved.empty()) return error(StatusCode::kNotFound, "no file '{}'", name);
  const fs::file_status status = fs::status(resolved, failure);
  if (fs::is_directory(status)) {
    return error(StatusCode::kInvalidArgument, "'{}' is a folder; a file is needed", name);
  }
  if (!fs::is_regular_file(status)) {
    return error(StatusCode::kInvalidArgument, "'{}' is not a regular file", name);
  }
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
        const std::uint64_t bytes = fs::file_size(path, failure);
        if (!failure && seen.insert(relative).second) files.push_back({name, relative, bytes});
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
