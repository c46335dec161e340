#include "daemon/front/metrics/metric_page.h"

namespace luna::front {

using prometheus::ClientMetric;
using prometheus::MetricType;

void MetricPage::begin(MetricType type, std::string name, std::string help) {
  prometheus::MetricFamily& family = families_.emplace_back();
  family.type = type;
  family.name = std::move(name);
  family.help = std::move(help);
}

void MetricPage::gauge(std::string name, std::string help) {
  begin(MetricType::Gauge, std::move(name), std::move(help));
}

void MetricPage::counter(std::string name, std::string help) {
  begin(MetricType::Counter, std::move(name), std::move(help));
}

void MetricPage::histogram(std::string name, std::string help) {
  begin(MetricType::Histogram, std::move(name), std::move(help));
}

void MetricPage::sample(Labels labels, double value) {
  ClientMetric& metric = families_.back().metric.emplace_back();
  metric.label = std::move(labels);
  (families_.back().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) =
      value;
}

void MetricPage::buckets(Labels labels, const std::map<int, std::uint64_t>& counts,
                         std::uint64_t sum) {
  ClientMetric& metric = families_.back().metric.emplace_back();
  metric.label = std::move(labels);
  auto next = counts.begin();
  std::uint64_t seen = 0;
  for (int bound = 1; bound <= kMaxBound; bound *= 2) {
    for (; next != counts.end() && next->first <= bound; ++next) seen += next->second;
    metric.histogram.bucket.push_back(
        {.cumulative_count = seen, .upper_bound = static_cast<double>(bound)});
  }
  for (; next != counts.end(); ++next) seen += next->second;
  metric.histogram.sample_count = seen;
  metric.histogram.sample_sum = static_cast<double>(sum);
}

}  // namespace luna::front
