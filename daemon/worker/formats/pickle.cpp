#include "daemon/worker/formats/pickle.h"

#include <algorithm>
#include <array>
#include <filesystem>

namespace luna::worker {

Status refuse_pickle(const std::string& path, std::string_view what) {
  constexpr std::array<std::string_view, 4> kEndings = {".pt", ".pth", ".bin", ".ckpt"};
  std::string ending = std::filesystem::path(path).extension().string();
  std::ranges::transform(ending, ending.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (std::ranges::find(kEndings, ending) == kEndings.end()) return {};
  return error(
      StatusCode::kUnimplemented,
      "{}: {} are read from .safetensors only; this is a pickle, and reading a pickle runs "
      "code of its author. Convert it once on a machine that trusts it",
      path, what);
}

}  // namespace luna::worker
