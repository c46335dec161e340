#include "daemon/front/installation.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace luna::front {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string find_vocabulary(const std::string& folder) {
  std::vector<fs::path> candidates = {fs::path(folder) / "../share/luna/clip_merges.txt"};
  if (const std::string share = environment("LUNA_SHARE"); !share.empty()) {
    candidates.push_back(fs::path(share) / "clip_merges.txt");
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    candidates.push_back(fs::path(home) / ".cache/luna/clip_merges.txt");
  }
  std::error_code ignored;
  for (const fs::path& candidate : candidates) {
    if (fs::is_regular_file(candidate, ignored)) return candidate.lexically_normal().string();
  }
  return "";
}

/// The service's own state folder, or the user's.
std::string uploads_folder() {
  if (const std::string state = environment("STATE_DIRECTORY"); !state.empty())
    return state + "/uploads";
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty())
    return state + "/luna/uploads";
  const std::string home = environment("HOME");
  return home.empty() ? "" : home + "/.local/state/luna/uploads";
}

}  // namespace

std::string program_folder() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

std::string default_socket() {
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  if (!runtime.empty()) return runtime + "/luna/lunad.sock";
  return fmt::format("/tmp/luna-{}/lunad.sock", ::getuid());
}

Config with_installed_paths(Config config, const std::string& folder) {
  if (config.server.unix_socket.empty()) config.server.unix_socket = default_socket();
  if (config.supervision.worker_program.empty()) {
    config.supervision.worker_program = folder + "/luna-worker";
  }
  if (config.models.clip_vocabulary.empty())
    config.models.clip_vocabulary = find_vocabulary(folder);
  if (config.models.uploads.empty()) config.models.uploads = uploads_folder();
  return config;
}

}  // namespace luna::front
