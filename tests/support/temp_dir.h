#pragma once

#include <string>
#include <string_view>

namespace luna::support {

/// A fresh folder below $TMPDIR (or /tmp), removed with all its content at the end of its life.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  /// "<path>/<name>".
  std::string file(std::string_view name) const;
  /// Writes `content` to file(name), making folders on the way; returns the path.
  std::string write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

/// The whole content of a file; throws std::runtime_error when it cannot be read.
std::string read_file(const std::string& path);

}  // namespace luna::support
