#pragma once

#include <vector>

#include <prometheus/metric_family.h>

#include "common/types/info.h"

namespace luna::front {

/// The daemon's status as Prometheus metrics: prefix luna_, base units, counters end in _total.
/// Every family is there on every scrape, with or without samples. Counters of a worker begin at 0
/// again when it is restarted, as Prometheus expects. docs/operations.md lists the names.
std::vector<prometheus::MetricFamily> metrics_of(const StatusInfo& status);

}  // namespace luna::front
