#include "daemon/ipc/protocol/archive.h"

#include <algorithm>

namespace luna::ipc {

bool is_known(DType value) { return dtype_size(value) != 0; }
bool is_known(Slot value) { return slot_from_name(slot_name(value)).has_value(); }
bool is_known(Tier value) { return value >= Tier::kDevice && value <= Tier::kFile; }
bool is_known(LoraApplication value) {
  return lora_application_from_name(lora_application_name(value)).has_value();
}
bool is_known(Precision value) { return precision_from_name(precision_name(value)).has_value(); }
bool is_known(Priority value) { return value <= Priority::kBulk; }
bool is_known(StatusCode value) { return status_code_name(value) != "UNKNOWN"; }

void Writer::write(const BytesPtr& bytes) {
  if (!bytes) {
    write(kNoAttachment);
    return;
  }
  const auto [at, added] =
      index_of_.try_emplace(bytes.get(), static_cast<std::uint32_t>(attachments_.size()));
  if (added) attachments_.push_back(bytes);
  write(at->second);
}

Status Reader::finish() {
  if (!rest_.empty()) fail("{} bytes are left over after the last field", rest_.size());
  const auto unused = std::find(used_.begin(), used_.end(), false);
  if (unused != used_.end()) {
    fail("attachment {} of {} belongs to no field", unused - used_.begin(), used_.size());
  }
  return failed_;
}

void Reader::read(Deadline& deadline) {
  std::int64_t left = 0;
  read(left);
  if (!ok()) return;
  if (left < 0) {
    fail("expected the nanoseconds that are left, found {}", left);
    return;
  }
  deadline = Deadline::after(std::chrono::nanoseconds(left));
}

void Reader::read(BytesPtr& bytes) {
  std::uint32_t index = 0;
  read(index);
  if (!ok()) return;
  bytes = nullptr;
  if (index == kNoAttachment) return;
  if (index >= attachments_.size()) {
    fail("attachment {} of {}", index, attachments_.size());
    return;
  }
  used_[index] = true;
  bytes = attachments_[index];
}

void Reader::read(Status& status) {
  StatusCode code = StatusCode::kOk;
  std::string message;
  read(code);
  read(message);
  if (ok()) status = Status(code, std::move(message));
}

bool Reader::take(std::size_t size) {
  taken_ = {};
  if (!ok()) return false;
  if (size > rest_.size()) {
    fail("expected {} bytes, found {}", size, rest_.size());
    return false;
  }
  taken_ = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

std::size_t Reader::read_count(std::size_t element_bytes) {
  std::uint32_t count = 0;
  read(count);
  if (!ok()) return 0;
  if (count > rest_.size() / element_bytes) {
    fail("a count of {} with {} bytes left", count, rest_.size());
    return 0;
  }
  return count;
}

std::string Reader::path() const {
  std::string path = what_;
  for (const PathStep& step : path_) {
    path += step.name != nullptr ? fmt::format(".{}", step.name) : fmt::format("[{}]", step.index);
  }
  return path;
}

void Reader::fail_with(std::string message) {
  failed_ = error(StatusCode::kInvalidArgument, "{}: {}", path(), message);
}

}  // namespace luna::ipc
