#include "client/cli/picture_files.h"

#include <algorithm>
#include <filesystem>

#include <unistd.h>

namespace luna::client {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".png";

bool has_extension(const std::string& name) {
  if (name.size() <= kExtension.size()) return false;
  return std::ranges::equal(name.substr(name.size() - kExtension.size()), kExtension, {},
                            [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
}

}  // namespace

std::vector<std::string> picture_names(const std::string& output, std::size_t count) {
  if (count == 1) return {output};
  const std::size_t stem =
      has_extension(output) ? output.size() - kExtension.size() : output.size();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back(fmt::format("{}_{}{}", output.substr(0, stem), i, output.substr(stem)));
  }
  return names;
}

std::string free_output(const std::string& folder, std::size_t count) {
  for (int number = 1;; ++number) {
    const std::string name = number == 1 ? "luna.png" : fmt::format("luna-{}.png", number);
    const std::string output = folder.empty() ? name : folder + "/" + name;
    const auto names = picture_names(output, count);
    const bool taken = std::ranges::any_of(names, [](const std::string& file) {
      std::error_code ignored;
      return fs::exists(fs::symlink_status(file, ignored));
    });
    if (!taken) return output;
  }
}

Status check_output(const std::string& output) {
  if (!has_extension(output)) {
    return error(StatusCode::kInvalidArgument, "--output '{}': expected a name that ends in .png",
                 output);
  }
  const fs::path parent = fs::path(output).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    return error(StatusCode::kNotFound, "--output '{}': there is no folder '{}'", output, folder);
  }
  if (::access(folder.c_str(), W_OK) != 0) {
    return error(StatusCode::kPermissionDenied, "--output '{}': the folder '{}' is not writable",
                 output, folder);
  }
  return {};
}

}  // namespace luna::client
