#pragma once

#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace luna::worker {

/// Watches the results of one trajectory for NaN and infinity. On CPU every evaluation is looked
/// at; on a GPU the flags are gathered on the device and read every few evaluations, so that the
/// host does not wait for each.
class FiniteWatch {
 public:
  explicit FiniteWatch(at::Device device) : device_(device) {}

  /// One evaluation's flags (a bool each), the rows that they belong to, and its sigma.
  void add(const std::vector<at::Tensor>& finite, std::vector<std::size_t> rows, double sigma,
           int step);

  struct Bad {
    std::size_t row = 0;
    int step = 0;  ///< finished steps before it
    double sigma = 0;
  };
  /// The first bad result so far; with `all`, evaluations that were not read yet are read now.
  std::optional<Bad> find(bool all);

 private:
  struct Entry {
    at::Tensor finite;
    std::vector<std::size_t> rows;
    double sigma = 0;
    int step = 0;
  };
  const at::Device device_;
  std::vector<Entry> unread_;
};

}  // namespace luna::worker
