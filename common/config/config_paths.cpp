#include "common/config/config_paths.h"

#include <cstdlib>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

namespace luna {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool belongs_to_us(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && (info.st_uid == ::geteuid() || info.st_uid == 0);
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) && !fs::is_directory(path, ignored);
}

}  // namespace

Result<std::string> expand_path(const std::string& path) {
  std::string text = path;
  if (text == "~" || text.starts_with("~/")) text = "${HOME}" + text.substr(1);
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t open = text.find("${", at);
    out += text.substr(at, open - at);
    if (open == std::string::npos) return out;
    const std::size_t close = text.find('}', open);
    if (close == std::string::npos) {
      return error(StatusCode::kInvalidArgument, "'{}': '${{' without its '}}'", path);
    }
    const std::string name = text.substr(open + 2, close - open - 2);
    const char* value = std::getenv(name.c_str());
    if (!value) {
      return error(StatusCode::kInvalidArgument, "'{}': the environment has no variable {}", path,
                   name);
    }
    out += value;
    at = close + 1;
  }
}

std::vector<std::string> config_search_path() {
  std::vector<std::string> paths;
  if (std::string named = environment("LUNA_CONFIG"); !named.empty()) paths.push_back(named);
  if (belongs_to_us("config.toml")) paths.push_back("config.toml");
  if (std::string home = environment("HOME"); !home.empty()) {
    paths.push_back(home + "/.config/luna/config.toml");
  }
  paths.push_back("/etc/luna/config.toml");
  return paths;
}

Result<std::optional<std::string>> find_config(const std::string& named) {
  for (const auto& [path, origin] :
       {std::pair{named, "--config"}, std::pair{environment("LUNA_CONFIG"), "$LUNA_CONFIG"}}) {
    if (path.empty()) continue;
    if (!is_file(path)) {
      return error(StatusCode::kNotFound, "{} names '{}': no such file", origin, path);
    }
    return std::optional<std::string>(path);
  }
  for (const std::string& path : config_search_path()) {
    if (is_file(path)) return std::optional<std::string>(path);
  }
  return std::optional<std::string>();
}

}  // namespace luna
