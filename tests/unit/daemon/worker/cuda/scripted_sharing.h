#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/worker/cuda/cuda_sharing.h"

namespace luna::worker {

/// A device that lives in this process's memory: other processes' allocations are what the test
/// exported, the stream is a log of what was put on it, and marks pass when the test says so. It
/// counts every break of the driver's rules.
class ScriptedSharing final : public CudaSharing {
 public:
  /// An allocation of another process; its handle.
  std::string export_memory(const std::string& name, std::string bytes) {
    const std::string handle = handle_of(name);
    foreign_[handle] = std::make_unique<std::string>(std::move(bytes));
    return handle;
  }
  std::string& memory(const std::string& name) { return *foreign_.at(handle_of(name)); }
  static std::string handle_of(const std::string& name) {
    return name + std::string(64 - name.size(), '.');
  }

  Result<void*> open_memory(const std::string& handle) override {
    log.push_back("open " + short_name(handle));
    const auto found = foreign_.find(handle);
    if (found == foreign_.end())
      return error(StatusCode::kInvalidArgument, "the driver does not know this handle here");
    open_.insert(found->second->data());
    return static_cast<void*>(found->second->data());
  }
  Status close_memory(void* base) override {
    log.push_back("close " + name_at(base));
    if (pending_work) ++broken_rules;
    if (open_.erase(base) == 0) ++broken_rules;
    return {};
  }
  Result<std::uint64_t> allocation_bytes(void* base) override {
    for (const auto& [handle, memory] : foreign_) {
      if (memory->data() == base) return static_cast<std::uint64_t>(memory->size());
    }
    return error(StatusCode::kInternal, "no allocation begins there");
  }
  Result<void*> map_descriptor(int fd, std::uint64_t bytes) override {
    log.push_back("map " + std::to_string(bytes));
    if (fd < 0) return error(StatusCode::kInvalidArgument, "no descriptor");
    mapped_.push_back(std::make_unique<std::string>(bytes, '\0'));
    open_.insert(mapped_.back()->data());
    return static_cast<void*>(mapped_.back()->data());
  }
  Status unmap_descriptor(void* base, std::uint64_t bytes) override {
    log.push_back("unmap " + std::to_string(bytes));
    if (pending_work || open_.erase(base) == 0) ++broken_rules;
    return {};
  }

  Result<void*> open_event(const std::string& handle) override {
    log.push_back("open event " + short_name(handle));
    return static_cast<void*>(
        events_.emplace_back(std::make_unique<std::string>(short_name(handle))).get());
  }
  Status close_event(void* event) override {
    log.push_back("close event " + *static_cast<std::string*>(event));
    return {};
  }
  Status wait_event(void* event) override {
    log.push_back("wait " + *static_cast<std::string*>(event));
    return {};
  }

  Result<Exported> allocate(std::uint64_t bytes) override {
    log.push_back("allocate " + std::to_string(bytes));
    if (out_of_memory) return error(StatusCode::kResourceExhausted, "cudaMalloc: out of memory");
    own_.push_back(std::make_unique<std::string>(bytes, '\0'));
    return Exported{own_.back()->data(), handle_of("slab")};
  }
  Status free(void*) override {
    log.emplace_back("free");
    return {};
  }
  Result<Exported> make_event() override {
    const std::string name = "own" + std::to_string(++made_events);
    events_.push_back(std::make_unique<std::string>(name));
    return Exported{events_.back().get(), handle_of(name)};
  }
  Status record_event(void* event) override {
    log.push_back("record " + *static_cast<std::string*>(event));
    return {};
  }

  Status copy(void* to, const void* from, std::uint64_t bytes) override {
    log.push_back("copy " + std::to_string(bytes));
    if (copies_until_failure-- == 0) return error(StatusCode::kInternal, "the copy failed");
    std::memcpy(to, from, bytes);
    return {};
  }

  Result<void*> mark() override {
    ++marks;
    return static_cast<void*>(new bool(true));
  }
  Result<bool> passed(void*) override { return !pending_work; }
  Status wait(void*) override {
    log.emplace_back("wait for the device");
    pending_work = false;
    return {};
  }
  void drop(void* mark) override {
    --marks;
    delete static_cast<bool*>(mark);
  }

  bool pending_work = false;   ///< marks do not pass
  bool out_of_memory = false;  ///< allocate() fails
  int copies_until_failure = -1;
  int broken_rules = 0;  ///< closed under running work, or twice
  int marks = 0;         ///< that exist
  int made_events = 0;
  std::vector<std::string> log;
  std::size_t open() const { return open_.size(); }
  /// The last memory that allocate() gave.
  const char* slab() const { return own_.back()->data(); }

 private:
  static std::string short_name(const std::string& handle) {
    return handle.substr(0, handle.find('.'));
  }
  std::string name_at(void* base) const {
    for (const auto& [handle, memory] : foreign_) {
      if (memory->data() == base) return short_name(handle);
    }
    return "?";
  }
  std::map<std::string, std::unique_ptr<std::string>> foreign_;
  std::vector<std::unique_ptr<std::string>> mapped_, own_, events_;
  std::set<void*> open_;
};

}  // namespace luna::worker
