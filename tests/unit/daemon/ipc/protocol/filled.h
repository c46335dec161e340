#pragma once

#include <string>

#include "common/local/memory.h"
#include "daemon/ipc/protocol/message_fields.h"

namespace luna::ipc {

/// An archive that sets every field of a struct to a value of its own, none of them a default.
class Filler {
 public:
  /// Every variant takes its alternative `variant` (modulo their number).
  explicit Filler(std::size_t variant = 1) : variant_(variant) {}

  template <class T>
  void field(const char* name, T& value) {
    ++fields_;
    name_ = name;
    fill(value);
  }
  int fields_seen() const { return fields_; }

 private:
  template <class T>
  requires std::is_arithmetic_v<T>
  void fill(T& value) { value = static_cast<T>(++next_ % 100 + 1); }
  void fill(bool& value) { value = !value; }
  void fill(std::string& value) { value = fmt::format("{} {}", name_, ++next_); }
  void fill(DType& value) { value = DType::kBF16; }
  void fill(Slot& value) { value = static_cast<Slot>(++next_ % 9 + 1); }
  void fill(Precision& value) { value = Precision::kF16; }
  void fill(LoraApplication& value) { value = LoraApplication::kRowWise; }
  void fill(Tier& value) { value = Tier::kHost; }
  void fill(Priority& value) { value = Priority::kBulk; }
  void fill(Deadline& value) { value = Deadline::after(std::chrono::hours(1)); }
  void fill(BytesPtr& value) { value = bytes_from(fmt::format("tensor {}", ++next_)); }
  void fill(std::shared_ptr<const CudaMapping>&) {}
  void fill(Status& value) { value = Status(StatusCode::kNotFound, fmt::format("no {}", ++next_)); }
  void fill(std::monostate&) {}
  template <class Tag>
  void fill(StrongId<Tag>& id) {
    id.value = ++next_;
  }
  template <class T>
  void fill(std::vector<T>& values) {
    values.resize(2);
    for (T& value : values) fill(value);
  }
  template <class K, class V>
  void fill(std::map<K, V>& values) {
    values.clear();
    while (values.size() < 2) {
      K key{};
      V value{};
      fill(key);
      fill(value);
      values.emplace(std::move(key), std::move(value));
    }
  }
  template <class T>
  void fill(std::optional<T>& value) {
    fill(value.emplace());
  }
  template <class... T>
  void fill(std::variant<T...>& value) {
    choose(value, std::make_index_sequence<sizeof...(T)>());
    std::visit([this](auto& held) { fill(held); }, value);
  }
  template <class... T, std::size_t... I>
  void choose(std::variant<T...>& value, std::index_sequence<I...>) {
    const std::size_t wanted = variant_ % sizeof...(T);
    ((I == wanted ? void(value.template emplace<I>()) : void()), ...);
  }
  template <class T>
  void fill(Result<T>& result) {
    T value{};
    fill(value);
    result = std::move(value);
  }
  template <class T>
  requires std::is_class_v<T>
  void fill(T& value) { fields(*this, value); }

  std::size_t variant_;
  std::uint64_t next_ = 0;
  int fields_ = 0;
  std::string name_;
};

template <class T>
T filled(std::size_t variant = 1) {
  T value{};
  Filler filler(variant);
  fields(filler, value);
  return value;
}

/// Counts the fields of the outermost struct.
struct FieldCounter {
  int count = 0;
  template <class T>
  void field(const char*, T&) {
    ++count;
  }
};

}  // namespace luna::ipc
