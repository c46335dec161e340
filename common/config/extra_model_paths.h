#pragma once

#include <string>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// One line of an extra_model_paths.yaml: files of `kind` ("checkpoints", "loras" ...) lie in
/// `folder` too.
struct ExtraModelPath {
  std::string kind;
  std::string folder;  ///< absolute
};

/// Reads ComfyUI's extra_model_paths.yaml: sections of `kind: path`, several paths of one kind on
/// lines of their own; `base_path` (~ and ${NAME} expand) goes before relative paths, else the
/// file's folder does; `is_default: true` puts a section's paths first. NOT_FOUND, or
/// INVALID_ARGUMENT with file and line.
Result<std::vector<ExtraModelPath>> load_extra_model_paths(const std::string& path);

}  // namespace luna
