#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/base/unique_fd.h"
#include "daemon/worker/formats/safetensors_header.h"

namespace luna::worker {

/// What tells one state of a file from another; times in nanoseconds since the epoch.
struct FileState {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified = 0, changed = 0;
  bool operator==(const FileState&) const = default;
};

/// An open safetensors file, read with pread and never mapped: a file that is truncated or
/// overwritten while it is in use gives an error, not a signal. Reads from several threads at once
/// are fine.
class SafetensorsFile {
 public:
  /// Opens the file and checks its header. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (not a
  /// regular or not a safetensors file), UNIMPLEMENTED (an element type), DATA_LOSS (truncated, or
  /// header and size disagree). Every message names the file.
  static Result<SafetensorsFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  const FileState& identity() const { return identity_; }
  const SafetensorsHeader& header() const { return header_; }

  /// Fills `out` with the bytes of `entry` (one of header().entries) from `offset` on, which must
  /// lie within it. DATA_LOSS when the file ends before them.
  Status read(const SafetensorsEntry& entry, std::uint64_t offset, std::span<std::byte> out) const;

  /// DATA_LOSS when the file is not any more what it was at open(). To be asked after the last
  /// read: bytes count only if nothing changed up to then.
  Status check_unchanged() const;

 private:
  SafetensorsFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Status read_header();
  Status read_at(std::uint64_t position, std::span<std::byte> out, std::string_view what) const;

  std::string path_;
  UniqueFd fd_;
  FileState identity_;
  SafetensorsHeader header_;
  std::uint64_t data_begin_ = 0;
};

}  // namespace luna::worker
