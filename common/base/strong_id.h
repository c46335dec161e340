#pragma once

#include <cstdint>
#include <functional>

namespace luna {

/// A number that names one kind of thing, and does not convert into the number of another kind.
template <class Tag>
struct StrongId {
  std::uint64_t value = 0;
  auto operator<=>(const StrongId&) const = default;
};

using JobId = StrongId<struct JobTag>;
using SessionId = StrongId<struct SessionTag>;
using WorkerId = StrongId<struct WorkerTag>;

}  // namespace luna

template <class Tag>
struct std::hash<luna::StrongId<Tag>> {
  std::size_t operator()(const luna::StrongId<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.value);
  }
};
