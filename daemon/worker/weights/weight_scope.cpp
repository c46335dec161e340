#include "daemon/worker/weights/weight_scope.h"

#include <algorithm>
#include <mutex>

#include <fmt/ranges.h>

namespace luna::worker {
namespace {

constexpr std::size_t kNamedProblems = 10;

bool fits(at::IntArrayRef found, const std::vector<std::int64_t>& expected) {
  return std::equal(
      found.begin(), found.end(), expected.begin(), expected.end(),
      [](std::int64_t have, std::int64_t want) { return want == -1 || have == want; });
}

std::string shape_text(at::IntArrayRef shape) {
  std::string out = "[";
  for (const std::int64_t extent : shape) {
    if (out.size() > 1) out += ',';
    out += extent == -1 ? "any" : std::to_string(extent);
  }
  return out + "]";
}

}  // namespace

struct WeightScope::Problems {
  std::mutex mutex;
  std::vector<std::string> texts;

  void note(std::string text) {
    const std::scoped_lock lock(mutex);
    if (std::find(texts.begin(), texts.end(), text) == texts.end())
      texts.push_back(std::move(text));
  }
};

WeightScope::WeightScope(std::shared_ptr<const WeightStore> store)
    : WeightScope(std::move(store), {}, std::make_shared<Problems>()) {}

WeightScope::WeightScope(std::shared_ptr<const WeightStore> store, std::string prefix,
                         std::shared_ptr<Problems> problems)
    : store_(std::move(store)), prefix_(std::move(prefix)), problems_(std::move(problems)) {}

WeightScope WeightScope::child(const std::string& name) const {
  return WeightScope(store_, prefix_ + name + ".", problems_);
}

bool WeightScope::has(const std::string& name) const {
  return store_->find(prefix_ + name) != nullptr;
}

at::Tensor WeightScope::take(const std::string& name, std::vector<std::int64_t> shape) const {
  if (!has(name)) {
    problems_->note(
        fmt::format("'{}{}' is missing (expected {})", prefix_, name, shape_text(shape)));
    return {};
  }
  return take_optional(name, std::move(shape));
}

at::Tensor WeightScope::take_optional(const std::string& name,
                                      std::vector<std::int64_t> shape) const {
  const at::Tensor* tensor = store_->find(prefix_ + name);
  if (tensor == nullptr) return {};
  if (!fits(tensor->sizes(), shape)) {
    problems_->note(fmt::format("'{}{}' has shape {}, expected {}", prefix_, name,
                                shape_text(tensor->sizes()), shape_text(shape)));
    return {};
  }
  return *tensor;
}

Status WeightScope::status() const {
  const std::scoped_lock lock(problems_->mutex);
  const std::vector<std::string>& texts = problems_->texts;
  if (texts.empty()) return {};
  const std::size_t named = std::min(texts.size(), kNamedProblems);
  std::string message = fmt::format(
      "the weights do not fit the model: {}",
      fmt::join(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(named), "; "));
  if (texts.size() > named) message += fmt::format("; and {} more", texts.size() - named);
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

}  // namespace luna::worker
