#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include "common/base/status.h"

namespace luna::worker {

/// What the exception now being handled means: out of memory (host or device) is
/// RESOURCE_EXHAUSTED, all else INTERNAL with the first line of its text. Call it inside a catch
/// block only.
Status status_of_current_exception(std::string_view what);

namespace detail {
template <class T>
struct AsResult {
  using type = Result<T>;
};
template <class T>
struct AsResult<Result<T>> {
  using type = Result<T>;
};
template <>
struct AsResult<Status> {
  using type = Status;
};
template <>
struct AsResult<void> {
  using type = Status;
};
}  // namespace detail

/// Runs `call`; the one place where exceptions of libtorch and CUDA become a Status. `what` says
/// what was being done, for the message. Gives Status for a call that returns nothing, Result<T>
/// for one returning T.
template <class F>
auto torch_call(std::string_view what, F&& call) ->
    typename detail::AsResult<std::invoke_result_t<F>>::type {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
      std::forward<F>(call)();
      return Status();
    } else {
      return std::forward<F>(call)();
    }
  } catch (...) {
    return status_of_current_exception(what);
  }
}

}  // namespace luna::worker
