#include "daemon/front/core/upload_store.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <vector>

#include <signal.h>
#include <unistd.h>

namespace luna::front {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kEnding = ".safetensors";

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// "HASH-PID-NUMBER.part": whether that process still runs.
bool is_being_written(const fs::path& part) {
  const std::string stem = part.stem().string();
  const std::size_t from = stem.find('-');
  if (from == std::string::npos) return false;
  const int pid = std::atoi(stem.c_str() + from + 1);
  return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
}

Status no_hash(std::string_view found) {
  return error(StatusCode::kInvalidArgument,
               "an uploaded file is named by 64 lower-case hex digits of SHA-256, found '{}'",
               found);
}

}  // namespace

UploadStore::UploadStore(std::string folder, Limits limits)
    : folder_(std::move(folder)), limits_(limits) {
  std::error_code failure;
  std::vector<std::pair<fs::file_time_type, std::string>> by_age;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, failure)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() != kEnding || !is_hash(stem)) {
      // What a daemon that was killed had begun.
      if (entry.path().extension() == ".part" && !is_being_written(entry.path()))
        fs::remove(entry.path(), failure);
      continue;
    }
    kept_[stem].bytes = entry.file_size(failure);
    by_age.emplace_back(entry.last_write_time(failure), stem);
  }
  std::ranges::sort(by_age);
  for (const auto& [time, stem] : by_age) kept_[stem].last_use = ++clock_;
}

fs::path UploadStore::path_of(const std::string& sha256) const {
  return folder_ / (sha256 + std::string(kEnding));
}

Result<std::string> UploadStore::find(std::string_view name) {
  const std::string hash(name.substr(std::min(kPrefix.size(), name.size())));
  if (!is_name(name) || !is_hash(hash)) return no_hash(name);
  std::lock_guard lock(mutex_);
  const auto kept = kept_.find(hash);
  if (kept == kept_.end() || !is_there(hash)) {
    return error(StatusCode::kNotFound,
                 "no file {} was uploaded, or it had to make room for others; "
                 "luna.v1.Adapters.Upload puts it here",
                 name);
  }
  kept->second.last_use = ++clock_;
  return path_of(hash).string();
}

bool UploadStore::has(const std::string& sha256) {
  std::lock_guard lock(mutex_);
  return kept_.contains(sha256) && is_there(sha256);
}

bool UploadStore::is_there(const std::string& sha256) {
  std::error_code failure;
  if (fs::is_regular_file(path_of(sha256), failure)) return true;
  kept_.erase(sha256);
  return false;
}

Status UploadStore::make_room(std::uint64_t bytes) {
  const auto total = [&] {
    std::uint64_t sum = coming_ + bytes;
    for (const auto& [hash, kept] : kept_) sum += kept.bytes;
    return sum;
  };
  while (total() > limits_.total_bytes && !kept_.empty()) {
    const auto oldest = std::ranges::min_element(
        kept_, {}, [](const auto& entry) { return entry.second.last_use; });
    std::error_code failure;
    fs::remove(path_of(oldest->first), failure);
    kept_.erase(oldest);
  }
  if (total() <= limits_.total_bytes) return {};
  return error(StatusCode::kResourceExhausted,
               "{} bytes have no room: [limits] uploads_bytes is {}, and uploads of {} bytes are "
               "under way",
               bytes, limits_.total_bytes, coming_);
}

Result<std::unique_ptr<UploadStore::Incoming>> UploadStore::begin(const std::string& sha256,
                                                                  std::uint64_t bytes) {
  if (folder_.empty())
    return error(StatusCode::kFailedPrecondition, "this daemon takes no uploads");
  if (!is_hash(sha256)) return no_hash(sha256);
  if (bytes > limits_.file_bytes) {
    return error(StatusCode::kResourceExhausted,
                 "the file has {} bytes, [limits] adapter_bytes allows {}", bytes,
                 limits_.file_bytes);
  }
  std::lock_guard lock(mutex_);
  LUNA_RETURN_IF_ERROR(make_room(bytes));
  std::error_code failure;
  fs::create_directories(folder_, failure);
  std::unique_ptr<Incoming> incoming(new Incoming(*this, sha256, bytes));
  coming_ += bytes;
  incoming->part_ = folder_ / fmt::format("{}-{}-{}.part", sha256, ::getpid(), ++parts_);
  incoming->file_.open(incoming->part_, std::ios::binary);
  if (incoming->file_) return incoming;
  const std::string why = std::strerror(errno);
  incoming->part_.clear();
  coming_ -= bytes;
  return error(StatusCode::kInternal, "cannot write below {} ([models] uploads): {}",
               folder_.string(), why);
}

UploadStore::Incoming::Incoming(UploadStore& store, std::string sha256, std::uint64_t bytes)
    : store_(store), sha256_(std::move(sha256)), bytes_(bytes) {}

UploadStore::Incoming::~Incoming() {
  if (part_.empty()) return;
  file_.close();
  std::error_code failure;
  fs::remove(part_, failure);
  std::lock_guard lock(store_.mutex_);
  store_.coming_ -= bytes_;
}

Status UploadStore::Incoming::append(std::string_view bytes) {
  if (bytes.size() > bytes_ - written_) {
    return error(StatusCode::kInvalidArgument, "{} bytes were announced, at least {} came", bytes_,
                 written_ + bytes.size());
  }
  hash_.update(bytes);
  written_ += bytes.size();
  file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file_) return {};
  return error(StatusCode::kResourceExhausted, "cannot write {}: {}", part_.string(),
               std::strerror(errno));
}

Result<std::string> UploadStore::Incoming::finish() {
  if (written_ != bytes_) {
    return error(StatusCode::kInvalidArgument, "{} bytes were announced, {} came", bytes_,
                 written_);
  }
  if (const std::string found = hash_.finish(); found != sha256_) {
    return error(StatusCode::kInvalidArgument, "expected a file with SHA-256 {}, found {}", sha256_,
                 found);
  }
  file_.close();
  if (!file_) {
    return error(StatusCode::kResourceExhausted, "cannot write {}: {}", part_.string(),
                 std::strerror(errno));
  }
  std::lock_guard lock(store_.mutex_);
  std::error_code failure;
  if (store_.kept_.contains(sha256_) && store_.is_there(sha256_)) {
    // Another upload of the same file was faster.
    fs::remove(part_, failure);
  } else {
    fs::rename(part_, store_.path_of(sha256_), failure);
    if (failure) {
      return error(StatusCode::kInternal, "cannot keep {}: {}", part_.string(), failure.message());
    }
    store_.kept_[sha256_] = {bytes_, ++store_.clock_};
  }
  part_.clear();
  store_.coming_ -= bytes_;
  return name_of(sha256_);
}

}  // namespace luna::front
