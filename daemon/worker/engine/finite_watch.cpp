#include "daemon/worker/engine/finite_watch.h"

#include <utility>

namespace luna::worker {
namespace {

constexpr std::size_t kUnreadOnGpu = 8;

}  // namespace

void FiniteWatch::add(const std::vector<at::Tensor>& finite, std::vector<std::size_t> rows,
                      double sigma, int step) {
  if (!finite.empty()) unread_.push_back({at::stack(finite), std::move(rows), sigma, step});
}

std::optional<FiniteWatch::Bad> FiniteWatch::find(bool all) {
  if (!all && !device_.is_cpu() && unread_.size() < kUnreadOnGpu) return std::nullopt;
  for (const Entry& entry : std::exchange(unread_, {})) {
    const at::Tensor flags = entry.finite.cpu();
    const bool* values = flags.const_data_ptr<bool>();
    for (std::size_t i = 0; i < entry.rows.size(); ++i) {
      if (!values[i]) return Bad{entry.rows[i], entry.step, entry.sigma};
    }
  }
  return std::nullopt;
}

}  // namespace luna::worker
