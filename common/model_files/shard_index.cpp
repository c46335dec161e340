#include "common/model_files/shard_index.h"

#include <set>

#include <nlohmann/json.hpp>

namespace luna {
namespace {

constexpr int kDeepest = 32;
constexpr std::string_view kInfix = ".safetensors.index.";

/// A name as it may stand in a message: short, and without control characters.
std::string shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 120)) out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  if (name.size() > 120) out += "...";
  return out;
}

Status invalid(const std::string& message) {
  return Status(StatusCode::kInvalidArgument, "shard index: " + message);
}

/// "" for a path that stays below the folder it is counted from, else what is wrong with it.
std::string_view wrong_with_shard(std::string_view path) {
  if (path.empty()) return "is empty";
  if (path.size() > kMaxShardIndexName) return "is too long";
  if (path.find('\0') != std::string_view::npos) return "holds a NUL";
  if (path.front() == '/') return "is absolute";
  if (!path.ends_with(".safetensors")) return "does not end in .safetensors";
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return "leads out of the index's folder";
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return {};
}

/// Takes the index apart event by event: of what it does not use nothing is kept.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  ShardIndex take() && { return std::move(index_); }
  const Status& status() const { return status_; }
  bool has_map() const { return has_map_; }

  bool null() override { return other("null"); }
  bool boolean(bool) override { return other("a boolean"); }
  bool number_integer(std::int64_t) override { return other("a number"); }
  bool number_unsigned(std::uint64_t) override { return other("a number"); }
  bool number_float(double, const std::string&) override { return other("a number"); }
  bool binary(binary_t&) override { return other("binary data"); }

  bool string(std::string& value) override {
    if (depth_ != 2 || !in_map_) return other("a string");
    if (const std::string_view wrong = wrong_with_shard(value); !wrong.empty()) {
      return fail(
          fmt::format("the shard '{}' of tensor '{}' {}", shown(value), shown(key_), wrong));
    }
    if (index_.shard_of.size() == kMaxShardIndexTensors)
      return fail(fmt::format("more than {} tensors", kMaxShardIndexTensors));
    if (shards_.insert(value).second && shards_.size() > kMaxShards)
      return fail(fmt::format("more than {} shards", kMaxShards));
    if (!index_.shard_of.emplace(key_, std::move(value)).second)
      return fail(fmt::format("the tensor '{}' stands there twice", shown(key_)));
    return true;
  }

  bool start_object(std::size_t) override {
    if (depth_ == 1 && key_ == "weight_map") {
      if (has_map_) return fail("'weight_map' stands there twice");
      has_map_ = in_map_ = true;
    } else if (in_map_) {
      return other("an object");
    }
    return deeper();
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0 || in_map_ || key_ == "weight_map") return other("a list");
    return deeper();
  }
  bool end_object() override {
    if (depth_ == 2) in_map_ = false;
    --depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(std::string& key) override {
    if (in_map_ &&
        (key.empty() || key.size() > kMaxShardIndexName || key.find('\0') != std::string::npos)) {
      return fail(fmt::format("the tensor name '{}' is empty, longer than {} bytes or holds a NUL",
                              shown(key), kMaxShardIndexName));
    }
    if (in_map_ || depth_ == 1) key_ = key;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& problem) override {
    return fail(fmt::format("not JSON at byte {}: {}", position, shown(problem.what())));
  }

 private:
  bool fail(const std::string& message) {
    status_ = invalid(message);
    return false;
  }
  bool deeper() {
    return ++depth_ <= kDeepest ? true : fail(fmt::format("nested deeper than {}", kDeepest));
  }
  /// A value that is no part of the map: passed over elsewhere.
  bool other(const char* found) {
    if (depth_ == 0) return fail(fmt::format("an object was expected, found {}", found));
    if (in_map_) {
      return fail(fmt::format("tensor '{}': the name of its shard was expected, found {}",
                              shown(key_), found));
    }
    if (depth_ == 1 && key_ == "weight_map")
      return fail(fmt::format("'weight_map': an object was expected, found {}", found));
    return true;
  }

  ShardIndex index_;
  Status status_;
  std::string key_;
  std::set<std::string> shards_;
  int depth_ = 0;
  bool in_map_ = false, has_map_ = false;
};

}  // namespace

std::vector<std::string> ShardIndex::shards() const {
  std::set<std::string> distinct;
  for (const auto& [tensor, shard] : shard_of) distinct.insert(shard);
  return {distinct.begin(), distinct.end()};
}

Result<ShardIndex> parse_shard_index(std::string_view json) {
  if (json.size() > kMaxShardIndexBytes)
    return invalid(
        fmt::format("{} bytes long; at most {} are read", json.size(), kMaxShardIndexBytes));
  Reader reader;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader) || !reader.status().ok())
    return reader.status().ok() ? invalid("not JSON") : reader.status();
  if (!reader.has_map())
    return invalid("expected an object 'weight_map' of tensors and their shards, found none");
  ShardIndex index = std::move(reader).take();
  if (index.shard_of.empty()) return invalid("its 'weight_map' names no tensor");
  return index;
}

bool names_shard_index(std::string_view path) {
  const std::size_t at = path.rfind(kInfix);
  if (at == std::string_view::npos || at == 0 || path[at - 1] == '/') return false;
  const std::string_view rest = path.substr(at + kInfix.size());
  return rest.find('/') == std::string_view::npos && (rest == "json" || rest.ends_with(".json"));
}

}  // namespace luna
