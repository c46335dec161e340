#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/deadline.h"
#include "common/base/status.h"
#include "common/base/strong_id.h"
#include "common/local/little_endian.h"
#include "common/types/job.h"

// A Writer and a Reader that walk the same description of a struct's fields:
//
//   template <class Archive, Described<LoraRef> T>
//   void fields(Archive& archive, T& lora) { archive.field("path", lora.path); ... }
//
// T is const for a Writer. Numbers are little-endian and of fixed width; strings, vectors and maps
// begin with a count of 32 bits, optionals with a byte, variants with the byte of their index. Host
// bytes are an index into the message's attachments.
namespace luna::ipc {

/// T or const T.
template <class T, class Wanted>
concept Described = std::same_as<std::remove_const_t<T>, Wanted>;

inline constexpr std::uint32_t kNoAttachment = 0xffffffff;

bool is_known(DType value);
bool is_known(Slot value);
bool is_known(Precision value);
bool is_known(LoraApplication value);
bool is_known(Tier value);
bool is_known(Priority value);
bool is_known(StatusCode value);

class Writer {
 public:
  template <class T>
  void field(const char*, const T& value) {
    write(value);
  }

  std::string take_body() { return std::move(body_); }
  /// Each once, in the order of first use; index i is what the body says.
  std::vector<BytesPtr> take_attachments() { return std::move(attachments_); }

 private:
  template <class T>
    requires std::is_arithmetic_v<T>
  void write(T value) {
    if constexpr (std::same_as<T, bool>) {
      body_ += value ? '\1' : '\0';
    } else {
      append_little_endian(body_, value);
    }
  }
  template <class T>
    requires std::is_enum_v<T>
  void write(T value) {
    write(static_cast<std::underlying_type_t<T>>(value));
  }
  void write(const std::string& value) {
    write_count(value.size());
    body_ += value;
  }
  template <class T>
  void write(const std::vector<T>& values) {
    write_count(values.size());
    if constexpr (std::is_arithmetic_v<T>) {
      body_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    } else {
      for (const T& value : values) write(value);
    }
  }
  template <class K, class V>
  void write(const std::map<K, V>& values) {
    write_count(values.size());
    for (const auto& [key, value] : values) {
      write(key);
      write(value);
    }
  }
  template <class T>
  void write(const std::optional<T>& value) {
    write(value.has_value());
    if (value) write(*value);
  }
  template <class... T>
  void write(const std::variant<T...>& value) {
    static_assert(sizeof...(T) < 256);
    write(static_cast<std::uint8_t>(value.index()));
    std::visit([this](const auto& held) { write(held); }, value);
  }
  void write(const std::monostate&) {}
  template <class Tag>
  void write(const StrongId<Tag>& id) {
    write(id.value);
  }
  void write(const Deadline& deadline) { write(std::int64_t{deadline.left().count()}); }
  void write(const BytesPtr& bytes);
  /// An address means nothing to another process.
  void write(const std::shared_ptr<const CudaMapping>&) {}
  void write(const Status& status) {
    write(status.code());
    write(status.message());
  }
  template <class T>
  void write(const Result<T>& result) {
    write(result.status());
    if (result.ok()) write(*result);
  }
  template <class T>
    requires std::is_class_v<T>
  void write(const T& value) {
    fields(*this, value);
  }

  void write_count(std::size_t count) { write(static_cast<std::uint32_t>(count)); }

  std::string body_;
  std::vector<BytesPtr> attachments_;
  std::map<const Bytes*, std::uint32_t> index_of_;
};

/// Reads what a Writer made. The first fault is kept, with the path of the field where it was
/// found, and all further reads do nothing.
class Reader {
 public:
  /// `what` begins the path of every field in a message.
  Reader(std::string_view body, std::vector<BytesPtr> attachments, std::string_view what)
      : rest_(body),
        attachments_(std::move(attachments)),
        used_(attachments_.size()),
        what_(what) {}

  template <class T>
  void field(const char* name, T& value) {
    const Step step(*this, name, kNoIndex);
    read(value);
  }

  /// The first fault, or what is left over now that the message is complete.
  Status finish();

 private:
  static constexpr std::size_t kNoIndex = std::numeric_limits<std::size_t>::max();

  /// One step down the path to a field, for as long as it is being read.
  class Step {
   public:
    Step(Reader& reader, const char* name, std::size_t index) : reader_(reader) {
      reader_.path_.push_back({name, index});
    }
    ~Step() { reader_.path_.pop_back(); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Reader& reader_;
  };

  template <class T>
    requires std::is_arithmetic_v<T>
  void read(T& value) {
    if (!take(sizeof(T))) return;
    value = load_little_endian<T>(taken_, 0);
  }
  void read(bool& value) {
    std::uint8_t byte = 0;
    read(byte);
    if (byte > 1) fail("expected 0 or 1, found {}", byte);
    value = byte == 1;
  }
  template <class T>
    requires std::is_enum_v<T>
  void read(T& value) {
    std::underlying_type_t<T> number{};
    read(number);
    if (!ok()) return;
    if (!is_known(static_cast<T>(number))) {
      fail("{} is no known value", static_cast<std::int64_t>(number));
      return;
    }
    value = static_cast<T>(number);
  }
  void read(std::string& value) {
    if (take(read_count(1))) value.assign(taken_);
  }
  template <class T>
  void read(std::vector<T>& values) {
    values.clear();
    if constexpr (std::is_arithmetic_v<T>) {
      const std::size_t count = read_count(sizeof(T));
      if (!take(count * sizeof(T)) || count == 0) return;
      values.resize(count);
      std::memcpy(values.data(), taken_.data(), taken_.size());
    } else {
      // Grows element by element: a lying count costs no memory.
      const std::size_t count = read_count(1);
      for (std::size_t i = 0; i < count && ok(); ++i) {
        const Step step(*this, nullptr, i);
        read(values.emplace_back());
      }
    }
  }
  template <class K, class V>
  void read(std::map<K, V>& values) {
    values.clear();
    const std::size_t count = read_count(1);
    for (std::size_t i = 0; i < count && ok(); ++i) {
      const Step step(*this, nullptr, i);
      K key{};
      V value{};
      read(key);
      read(value);
      if (ok() && !values.emplace(std::move(key), std::move(value)).second) {
        fail("the key of this entry came before");
      }
    }
  }
  template <class T>
  void read(std::optional<T>& value) {
    bool present = false;
    read(present);
    value.reset();
    if (ok() && present) read(value.emplace());
  }
  template <class... T>
  void read(std::variant<T...>& value) {
    std::uint8_t index = 0;
    read(index);
    if (!ok()) return;
    if (index >= sizeof...(T)) {
      fail("alternative {} of {}", index, sizeof...(T));
      return;
    }
    read_alternative<0>(value, index);
  }
  template <std::size_t I, class... T>
  void read_alternative(std::variant<T...>& value, std::size_t index) {
    if constexpr (I < sizeof...(T)) {
      if (I == index) {
        read(value.template emplace<I>());
      } else {
        read_alternative<I + 1>(value, index);
      }
    }
  }
  void read(std::monostate&) {}
  template <class Tag>
  void read(StrongId<Tag>& id) {
    read(id.value);
  }
  void read(Deadline& deadline);
  void read(BytesPtr& bytes);
  void read(std::shared_ptr<const CudaMapping>& mapping) { mapping = nullptr; }
  void read(Status& status);
  template <class T>
  void read(Result<T>& result) {
    Status status;
    read(status);
    if (!ok()) return;
    if (!status.ok()) {
      result = std::move(status);
      return;
    }
    T value{};
    read(value);
    result = std::move(value);
  }
  template <class T>
    requires std::is_class_v<T>
  void read(T& value) {
    if (ok()) fields(*this, value);
  }

  bool ok() const { return failed_.ok(); }
  /// Moves `size` bytes into taken_; false, and a fault, when there are fewer.
  bool take(std::size_t size);
  /// A count of elements that need at least `element_bytes` each; 0, and a fault, when there is no
  /// room for them.
  std::size_t read_count(std::size_t element_bytes);
  std::string path() const;
  void fail_with(std::string message);
  template <class... Args>
  void fail(fmt::format_string<Args...> format, Args&&... args) {
    if (ok()) fail_with(fmt::format(format, std::forward<Args>(args)...));
  }

  struct PathStep {
    const char* name;
    std::size_t index;
  };
  std::string_view rest_;
  std::string_view taken_;
  std::vector<BytesPtr> attachments_;
  std::vector<bool> used_;
  std::string what_;
  std::vector<PathStep> path_;
  Status failed_;
};

}  // namespace luna::ipc
