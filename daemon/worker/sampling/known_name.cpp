#include "daemon/worker/sampling/known_name.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace luna::worker {
namespace {

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_of(const std::string& name, const std::vector<std::string>& known) {
  constexpr std::size_t kLongestCompared = 64;
  constexpr std::size_t kNamed = 3;
  const std::string compared = name.substr(0, kLongestCompared);
  std::vector<std::string> sorted = known;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const std::string& a, const std::string& b) {
    return edit_distance(compared, a) < edit_distance(compared, b);
  });
  if (sorted.size() > kNamed) sorted.resize(kNamed);
  return fmt::format("'{}'", fmt::join(sorted, "', '"));
}

}  // namespace luna::worker
