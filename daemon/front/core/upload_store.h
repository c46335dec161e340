#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/hash/sha256.h"

namespace luna::front {

/// Files that clients uploaded, each once by its content, in a folder of their own. Names are
/// "sha256:" and 64 hex digits. When there is no more room, those that were not used for the
/// longest time go. Thread-safe.
class UploadStore {
 public:
  struct Limits {
    std::uint64_t file_bytes = 0;
    std::uint64_t total_bytes = 0;
  };
  /// What lies in the folder already is kept; an empty path: nothing can be uploaded. The folder is
  /// made when the first file comes.
  UploadStore(std::string folder, Limits limits);

  static bool is_name(std::string_view file) { return file.starts_with(kPrefix); }
  static std::string name_of(const std::string& sha256) { return std::string(kPrefix) + sha256; }

  /// Its path; it counts as used now. INVALID_ARGUMENT for what is no such name, NOT_FOUND.
  Result<std::string> find(std::string_view name);
  bool has(const std::string& sha256);

  /// One file on its way in. Nothing of it is left unless finish() succeeded.
  class Incoming {
   public:
    ~Incoming();
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;
    Status append(std::string_view bytes);
    /// Its name. INVALID_ARGUMENT when size or hash are others than begin() was told.
    Result<std::string> finish();

   private:
    friend class UploadStore;
    Incoming(UploadStore& store, std::string sha256, std::uint64_t bytes);
    UploadStore& store_;
    const std::string sha256_;
    const std::uint64_t bytes_;
    std::uint64_t written_ = 0;
    std::filesystem::path part_;
    std::ofstream file_;
    Sha256 hash_;
  };
  /// INVALID_ARGUMENT for a hash that is none, RESOURCE_EXHAUSTED for a file that is too large or
  /// that has no room beside others that are on their way, FAILED_PRECONDITION without a folder.
  Result<std::unique_ptr<Incoming>> begin(const std::string& sha256, std::uint64_t bytes);

 private:
  static constexpr std::string_view kPrefix = "sha256:";
  struct Kept {
    std::uint64_t bytes = 0;
    std::uint64_t last_use = 0;
  };
  std::filesystem::path path_of(const std::string& sha256) const;
  /// Somebody else, another daemon of the user, may have removed it.
  bool is_there(const std::string& sha256);
  Status make_room(std::uint64_t bytes);

  const std::filesystem::path folder_;
  const Limits limits_;
  std::mutex mutex_;
  std::map<std::string, Kept> kept_;  ///< by hash
  std::uint64_t coming_ = 0;          ///< bytes of files on their way
  std::uint64_t clock_ = 0, parts_ = 0;
};

}  // namespace luna::front
