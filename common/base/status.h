#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace luna {

/// Why something failed, grouped by who can do something about it. Maps one to one onto gRPC codes
/// (common/wire/status_mapping.h), and travels unchanged between front and worker.
enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,         ///< the caller asked for the end
  kInvalidArgument = 3,   ///< bad request, whatever the state of the system
  kDeadlineExceeded = 4,  ///< the caller's deadline passed
  kNotFound = 5,          ///< no such workflow, model, file, tensor
  kAlreadyExists = 6,
  kPermissionDenied = 7,    ///< outside the model roots, another session's tensor
  kResourceExhausted = 8,   ///< a queue, quota or memory is full; try again later or smaller
  kFailedPrecondition = 9,  ///< valid, but not in this state (a slot is missing, draining)
  kUnimplemented = 12,      ///< known, and not served by this version
  kInternal = 13,           ///< a bug of Luna's
  kUnavailable = 14,        ///< peer or worker gone; a retry may help
  kDataLoss = 15,           ///< a file or a resident tensor is damaged or cannot be brought back
};

/// "INVALID_ARGUMENT" and so on, gRPC's spelling.
std::string_view status_code_name(StatusCode code);

/// Outcome of an operation that returns nothing. The message says what was expected and what was
/// found.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// The same failure seen from further out: "context: message". Ok stays ok.
  Status with_context(std::string_view context) const;
  /// "NOT_FOUND: message", for logs.
  std::string to_string() const;

  bool operator==(const Status&) const = default;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

/// error(StatusCode::kNotFound, "no file '{}' below {}", name, root)
template <class... Args>
Status error(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

/// A T, or the Status that says why there is none. Reading the value of a failed Result is a bug
/// and aborts.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok()) status_ = Status(StatusCode::kInternal, "Result built from an ok Status");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  T&& value() && { return check(), std::move(*value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void check() const;
  std::optional<T> value_;
  Status status_;
};

/// Prints `what` and the place, and aborts: a bug was found. Bad input never comes here.
[[noreturn]] void die(std::string_view what);

template <class T>
void Result<T>::check() const {
  if (!value_) die(status_.to_string());
}

}  // namespace luna

#define LUNA_CONCAT_INNER(a, b) a##b
#define LUNA_CONCAT(a, b) LUNA_CONCAT_INNER(a, b)

/// Returns early with the Status of `expr` when it failed.
#define LUNA_RETURN_IF_ERROR(expr)                                                  \
  do {                                                                              \
    if (::luna::Status luna_status = (expr); !luna_status.ok()) return luna_status; \
  } while (false)

/// LUNA_ASSIGN_OR_RETURN(auto file, open(path)); returns early with the Status when it failed.
#define LUNA_ASSIGN_OR_RETURN(lhs, expr) \
  LUNA_ASSIGN_OR_RETURN_INNER(LUNA_CONCAT(luna_result_, __LINE__), lhs, expr)
#define LUNA_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                                \
  if (!result.ok()) return result.status();            \
  lhs = std::move(result).value()
