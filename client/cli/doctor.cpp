#include "client/cli/doctor.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

namespace luna::client {
namespace {

namespace fs = std::filesystem;

/// Folders of ComfyUI's layout that matter to Luna.
constexpr std::array<std::string_view, 6> kModelFolders = {
    "checkpoints", "vae", "text_encoders", "clip", "diffusion_models", "embeddings"};
constexpr int kMaxFilesCounted = 100000;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// The value of "Key:   value" in a file of such lines.
std::string field_of(const fs::path& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t at = line.find_first_not_of(" \t", line.find(':') + 1);
    return at == std::string::npos ? "" : line.substr(at);
  }
  return {};
}

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

int count_model_files(const fs::path& folder) {
  int count = 0;
  int seen = 0;
  std::error_code failure;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied,
                                      failure);
  for (; !failure && it != fs::recursive_directory_iterator() && ++seen < kMaxFilesCounted;
       it.increment(failure)) {
    const std::string extension = it->path().extension().string();
    if (extension == ".safetensors" || extension == ".sft") ++count;
  }
  return count;
}

Finding check_root(const std::string& root) {
  Finding finding{"model root", Verdict::kOk, {}, {}};
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) {
    finding.verdict = Verdict::kProblem;
    finding.what = fmt::format("'{}' is not a folder", root);
    finding.advice = "make it, or correct [models] roots in config.toml";
    return finding;
  }
  if (::access(root.c_str(), R_OK | X_OK) != 0) {
    finding.verdict = Verdict::kProblem;
    finding.what = fmt::format("'{}' cannot be read by this user", root);
    finding.advice = fmt::format("chmod -R u+rX '{}', or run as its owner", root);
    return finding;
  }
  std::string counted;
  int checkpoints = 0;
  for (const std::string_view folder : kModelFolders) {
    const int files = count_model_files(fs::path(root) / folder);
    if (folder == "checkpoints") checkpoints = files;
    if (files > 0) counted += fmt::format("{}{} {}", counted.empty() ? "" : ", ", files, folder);
  }
  finding.what = fmt::format("'{}': {}", root, counted.empty() ? "no model files" : counted);
  if (checkpoints == 0) {
    finding.verdict = Verdict::kWarning;
    finding.advice = fmt::format("put a checkpoint (.safetensors) into '{}/checkpoints'", root);
  }
  return finding;
}

Finding check_program(std::string_view name, const std::string& path) {
  if (is_program(path)) return {std::string(name), Verdict::kOk, path, {}};
  return {std::string(name), Verdict::kProblem, fmt::format("no program '{}'", path),
          "build it with ./dev build, or install Luna whole: luna, lunad and luna-worker lie side "
          "by side"};
}

Finding check_libraries(const Machine& machine, const std::string& worker) {
  Finding finding{"libtorch", Verdict::kOk, {}, {}};
  const Result<std::string> listed = machine.loaded_libraries(worker);
  if (!listed.ok()) {
    return {"libtorch", Verdict::kProblem, listed.status().message(), "run 'ldd' on luna-worker"};
  }
  std::string missing;
  std::string torch;
  std::string_view rest = *listed;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::string name(line.substr(0, line.find(' ')));
    if (line.find("not found") != std::string_view::npos)
      missing += (missing.empty() ? "" : ", ") + name;
    const std::size_t arrow = line.find("=> ");
    if (name.starts_with("libtorch_cpu.so") && arrow != std::string_view::npos) {
      torch = line.substr(arrow + 3, line.find(" (") - arrow - 3);
    }
  }
  if (!missing.empty()) {
    finding.verdict = Verdict::kProblem;
    finding.what = "luna-worker lacks " + missing;
    finding.advice =
        "run ./dev setup, which fetches libtorch, and build again; or install the packages";
  } else if (torch.empty()) {
    finding.verdict = Verdict::kWarning;
    finding.what = "luna-worker does not name libtorch_cpu.so";
    finding.advice = "build luna-worker against libtorch";
  } else {
    finding.what = torch;
  }
  return finding;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kProblem:
      break;
  }
  return "problem";
}

Finding check_config(const Result<std::optional<std::string>>& file, const Result<Config>& config) {
  if (!file.ok()) {
    return {"configuration", Verdict::kProblem, file.status().message(), "correct $LUNA_CONFIG"};
  }
  if (!config.ok()) {
    return {"configuration", Verdict::kProblem, config.status().message(),
            "correct the file; lunad will not start"};
  }
  if (!*file) {
    return {"configuration", Verdict::kWarning,
            "no config.toml; the defaults hold, without model roots",
            "copy config.toml to ~/.config/luna/ and name your models folder in [models] roots"};
  }
  return {"configuration", Verdict::kOk, **file, {}};
}

Finding check_driver(const Machine& machine) {
  const std::string version = first_line(fs::path(machine.proc_nvidia) / "version");
  if (version.empty()) {
    return {"GPU driver", Verdict::kOk, "no NVIDIA driver: models run on the CPU", {}};
  }
  return {"GPU driver", Verdict::kOk, version, {}};
}

std::vector<Finding> check_gpus(const Machine& machine) {
  std::vector<Finding> findings;
  std::error_code failure;
  std::vector<fs::path> folders;
  for (fs::directory_iterator it(fs::path(machine.proc_nvidia) / "gpus", failure), end;
       !failure && it != end; it.increment(failure)) {
    folders.push_back(it->path());
  }
  std::ranges::sort(folders);
  for (const fs::path& folder : folders) {
    const std::string minor = field_of(folder / "information", "Device Minor");
    const fs::path device = fs::path(machine.dev) / ("nvidia" + minor);
    Finding finding{"GPU", Verdict::kOk, field_of(folder / "information", "Model"), {}};
    if (::access(device.c_str(), R_OK | W_OK) != 0) {
      finding.verdict = Verdict::kProblem;
      finding.what += fmt::format(": '{}' cannot be opened by this user", device.string());
      finding.advice =
          "add the user to the device's group (video or render), or give the container its GPUs";
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

std::vector<Finding> check_programs(const Machine& machine, const Config& config) {
  const std::string worker = config.supervision.worker_program.empty()
                                 ? machine.program_folder + "/luna-worker"
                                 : config.supervision.worker_program;
  std::vector<Finding> findings = {check_program("lunad", machine.program_folder + "/lunad"),
                                   check_program("luna-worker", worker)};
  if (findings.back().verdict == Verdict::kOk) findings.push_back(check_libraries(machine, worker));
  const bool has_gpu = !check_gpus(machine).empty();
  std::error_code ignored;
  if (has_gpu && !fs::exists(fs::path(worker).parent_path() / "libluna_cuda.so", ignored)) {
    findings.push_back({"CUDA module", Verdict::kWarning,
                        "no libluna_cuda.so beside luna-worker: the GPU stays unused",
                        "run ./dev setup with LUNA_TORCH=cuda and build again"});
  }
  return findings;
}

Finding check_vocabulary(const Machine& machine, const Config& config) {
  const std::vector<std::string> places = {
      config.models.clip_vocabulary, machine.program_folder + "/../share/luna/clip_merges.txt",
      machine.share.empty() ? "" : machine.share + "/clip_merges.txt",
      machine.home.empty() ? "" : machine.home + "/.cache/luna/clip_merges.txt"};
  for (const std::string& place : places) {
    std::error_code ignored;
    if (place.empty()) continue;
    const bool there = fs::is_regular_file(place, ignored) ||
                       fs::is_regular_file(fs::path(place) / "merges.txt", ignored);
    if (there && ::access(place.c_str(), R_OK) == 0)
      return {"CLIP vocabulary", Verdict::kOk, place, {}};
    if (place == config.models.clip_vocabulary) {
      return {"CLIP vocabulary", Verdict::kProblem, fmt::format("'{}' cannot be read", place),
              "correct [models] clip_vocabulary in config.toml"};
    }
  }
  return {"CLIP vocabulary", Verdict::kProblem,
          "CLIP's list of merges was not found; prompts cannot be encoded",
          "run ./dev setup, or name it in [models] clip_vocabulary"};
}

std::vector<Finding> check_roots(const Config& config) {
  if (config.models.roots.empty() && config.models.extra_model_paths.empty()) {
    return {{"model root", Verdict::kWarning,
             "no model roots are configured: only files named by path are served",
             "name your ComfyUI models folder in [models] roots of config.toml"}};
  }
  std::vector<Finding> findings;
  for (const std::string& root : config.models.roots) findings.push_back(check_root(root));
  const std::string& extra = config.models.extra_model_paths;
  if (!extra.empty() && ::access(extra.c_str(), R_OK) != 0) {
    findings.push_back({"extra model paths", Verdict::kProblem,
                        fmt::format("'{}' cannot be read", extra),
                        "correct [models] extra_model_paths in config.toml"});
  }
  return findings;
}

Finding check_sockets(const Machine& machine) {
  struct stat info{};
  if (::lstat(machine.runtime_folder.c_str(), &info) != 0) {
    const fs::path parent = fs::path(machine.runtime_folder).parent_path();
    if (::access(parent.c_str(), W_OK | X_OK) == 0) {
      return {
          "sockets", Verdict::kOk, fmt::format("'{}' will be made", machine.runtime_folder), {}};
    }
    return {"sockets", Verdict::kProblem,
            fmt::format("'{}' cannot be made", machine.runtime_folder),
            "set XDG_RUNTIME_DIR to a folder of this user's"};
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return {"sockets", Verdict::kProblem,
            fmt::format("'{}' has mode {:04o} and belongs to user {}; it must be this user's "
                        "folder with mode 0700",
                        machine.runtime_folder, info.st_mode & 07777, info.st_uid),
            fmt::format("chmod 0700 '{}', or remove it", machine.runtime_folder)};
  }
  return {"sockets", Verdict::kOk, machine.runtime_folder, {}};
}

}  // namespace luna::client
