#include "common/model_files/small_file.h"

#include <fstream>

#include "common/local/identify.h"

namespace luna {

Result<std::string> read_small_file(const std::string& path, std::size_t most) {
  LUNA_ASSIGN_OR_RETURN(const FileIdentity file, identify(path));
  if (file.size > most) {
    return error(StatusCode::kInvalidArgument, "{}: at most {} bytes were expected, found {}", path,
                 most, file.size);
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return error(StatusCode::kPermissionDenied, "{}: cannot be opened", path);
  std::string text(file.size, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (static_cast<std::uint64_t>(stream.gcount()) != file.size) {
    return error(StatusCode::kDataLoss, "{}: {} bytes were expected, {} could be read", path,
                 file.size, stream.gcount());
  }
  return text;
}

}  // namespace luna
