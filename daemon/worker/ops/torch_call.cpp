#include "daemon/worker/ops/torch_call.h"

#include <exception>
#include <new>
#include <string>

#include <c10/util/Exception.h>

namespace luna::worker {
namespace {

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

bool speaks_of_memory(std::string_view text) {
  for (std::string_view marker : {"out of memory", "can't allocate memory", "not enough memory",
                                  "could not create a memory"}) {
    if (text.find(marker) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

Status status_of_current_exception(std::string_view what) {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& e) {
    return error(StatusCode::kResourceExhausted, "{}: out of device memory: {}", what,
                 first_line(e.what_without_backtrace()));
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    if (speaks_of_memory(text)) {
      return error(StatusCode::kResourceExhausted, "{}: out of memory: {}", what, first_line(text));
    }
    return error(StatusCode::kInternal, "{}: {}", what, first_line(text));
  } catch (const std::bad_alloc&) {
    return error(StatusCode::kResourceExhausted, "{}: out of memory", what);
  } catch (const std::exception& e) {
    const std::string text = e.what();
    return error(speaks_of_memory(text) ? StatusCode::kResourceExhausted : StatusCode::kInternal,
                 "{}: {}", what, first_line(text));
  } catch (...) {
    return error(StatusCode::kInternal, "{}: an exception of unknown type", what);
  }
}

}  // namespace luna::worker
