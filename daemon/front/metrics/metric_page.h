#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace luna::front {

/// What one scrape answers, written family by family: gauge(), counter() or histogram() begins one,
/// and sample() or buckets() adds to the one begun last.
class MetricPage {
 public:
  using Labels = std::vector<prometheus::ClientMetric::Label>;

  void gauge(std::string name, std::string help);
  /// `name` ends in "_total".
  void counter(std::string name, std::string help);
  void histogram(std::string name, std::string help);

  /// No two samples of a family may have the same labels.
  void sample(Labels labels, double value);
  void sample(double value) { sample({}, value); }
  /// `counts`: value -> how often; `sum`: of all values. Bounds are powers of two up to kMaxBound.
  void buckets(Labels labels, const std::map<int, std::uint64_t>& counts, std::uint64_t sum);
  static constexpr int kMaxBound = 256;

  std::vector<prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  void begin(prometheus::MetricType type, std::string name, std::string help);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace luna::front
