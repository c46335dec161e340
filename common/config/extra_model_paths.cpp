#include "common/config/extra_model_paths.h"

#include <filesystem>
#include <sstream>

#include <yaml-cpp/yaml.h>

#include "common/config/config_paths.h"

namespace luna {
namespace {

namespace fs = std::filesystem;

Status refuse(const std::string& file, const YAML::Node& node, const std::string& why) {
  return error(StatusCode::kInvalidArgument, "{}:{}: {}", file, node.Mark().line + 1, why);
}

/// One section ("comfyui:", "a111:") of the file.
Status read_section(const std::string& file, const std::string& name, const YAML::Node& section,
                    std::vector<ExtraModelPath>& first, std::vector<ExtraModelPath>& last) {
  if (section.IsNull()) return {};
  if (!section.IsMap()) {
    return refuse(file, section, fmt::format("section '{}' must map kinds to folders", name));
  }
  fs::path base = fs::absolute(file).parent_path();
  if (const YAML::Node node = section["base_path"]; node && !node.IsNull()) {
    if (!node.IsScalar()) return refuse(file, node, "base_path must be one path");
    Result<std::string> expanded = expand_path(node.as<std::string>());
    if (!expanded.ok()) return refuse(file, node, expanded.status().message());
    base = base / *expanded;
  }
  bool is_default = false;
  if (const YAML::Node node = section["is_default"]; node && !node.IsNull()) {
    if (!YAML::convert<bool>::decode(node, is_default)) {
      return refuse(file, node, "is_default must be true or false");
    }
  }
  for (const auto& entry : section) {
    const std::string kind = entry.first.as<std::string>();
    if (kind == "base_path" || kind == "is_default" || entry.second.IsNull()) continue;
    if (!entry.second.IsScalar()) {
      return refuse(file, entry.second,
                    fmt::format("'{}' must be a path, or several on lines of their own", kind));
    }
    std::istringstream lines(entry.second.as<std::string>());
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) continue;
      Result<std::string> expanded = expand_path(line);
      if (!expanded.ok()) return refuse(file, entry.second, expanded.status().message());
      (is_default ? first : last).push_back({kind, (base / *expanded).lexically_normal().string()});
    }
  }
  return {};
}

}  // namespace

Result<std::vector<ExtraModelPath>> load_extra_model_paths(const std::string& path) {
  std::vector<ExtraModelPath> first;
  std::vector<ExtraModelPath> last;
  try {
    const YAML::Node document = YAML::LoadFile(path);
    if (document.IsNull()) return first;
    if (!document.IsMap()) return refuse(path, document, "expected sections of 'kind: path'");
    for (const auto& section : document) {
      LUNA_RETURN_IF_ERROR(
          read_section(path, section.first.as<std::string>(), section.second, first, last));
    }
  } catch (const YAML::BadFile&) {
    return error(StatusCode::kNotFound, "cannot open '{}'", path);
  } catch (const YAML::Exception& e) {
    return error(StatusCode::kInvalidArgument, "{}:{}: {}", path, e.mark.line + 1, e.msg);
  }
  first.insert(first.end(), last.begin(), last.end());
  return first;
}

}  // namespace luna
