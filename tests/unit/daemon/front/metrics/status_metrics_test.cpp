#include "daemon/front/metrics/status_metrics.h"

#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "tests/unit/daemon/front/metrics/full_status.h"

namespace luna::front {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const StatusInfo& status) {
  return prometheus::TextSerializer().Serialize(metrics_of(status));
}

/// The lines of a page without HELP and TYPE.
std::vector<std::string> samples_of(const StatusInfo& status) {
  std::vector<std::string> samples;
  std::istringstream lines(text_of(status));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('#')) samples.push_back(line);
  }
  return samples;
}

TEST(Metrics, OfAStatusAreExactlyTheseLines) {
  EXPECT_THAT(
      samples_of(full_status()),
      ElementsAre(
          "luna_build_info{version=\"0.1.0\"} 1", "luna_uptime_seconds 65.5", "luna_draining 0",
          "luna_sessions 7", "luna_workflows 1", "luna_step_sockets 14",
          "luna_step_evaluations_total 15", "luna_resident_tensors 8",
          "luna_resident_tensor_bytes 4096", "luna_regions 13", "luna_region_bytes 65536",
          "luna_host_copies 9", "luna_host_copy_bytes 8192", "luna_host_copy_hits_total 11",
          "luna_component_reads_total 12", "luna_jobs{state=\"running\"} 1",
          "luna_jobs{state=\"queued\"} 6", "luna_jobs_accepted_total 20",
          "luna_jobs_ended_total{outcome=\"done\"} 12",
          "luna_jobs_ended_total{outcome=\"failed\"} 3",
          "luna_jobs_ended_total{outcome=\"cancelled\"} 2", "luna_jobs_refused_total 4",
          "luna_jobs_rerun_total 5", "luna_pool_workers{pool=\"default\"} 2",
          "luna_pool_max_workers{pool=\"default\"} 4", "luna_pool_jobs{pool=\"default\"} 19",
          "luna_queue_jobs{workflow=\"w\",priority=\"bulk\"} 6",
          "luna_queue_oldest_wait_seconds{workflow=\"w\",priority=\"bulk\"} 1.5",
          "luna_workflow_lease_seconds{workflow=\"w\"} 300",
          "luna_workflow_calls_total{workflow=\"w\"} 30",
          "luna_workflow_calls_running{workflow=\"w\"} 10",
          "luna_workflow_model_bytes{workflow=\"w\"} 5000",
          "luna_workflow_tensor_bytes{workflow=\"w\"} 256",
          "luna_worker_info{worker=\"3\",pool=\"default\",device=\"cuda:0 \\\"H200\\\"\"} 1",
          "luna_worker_state{worker=\"3\",state=\"starting\"} 0",
          "luna_worker_state{worker=\"3\",state=\"ready\"} 1",
          "luna_worker_state{worker=\"3\",state=\"restarting\"} 0",
          "luna_worker_state{worker=\"3\",state=\"failed\"} 0",
          "luna_worker_state{worker=\"3\",state=\"stopping\"} 0",
          "luna_worker_restarts_total{worker=\"3\"} 11",
          "luna_worker_heartbeat_age_seconds{worker=\"3\"} 0.25",
          "luna_worker_step_seconds{worker=\"3\"} 0.18",
          "luna_worker_jobs{worker=\"3\",state=\"running\"} 1",
          "luna_worker_jobs{worker=\"3\",state=\"queued\"} 13",
          "luna_worker_jobs_ended_total{worker=\"3\",outcome=\"done\"} 14",
          "luna_worker_jobs_ended_total{worker=\"3\",outcome=\"failed\"} 15",
          "luna_worker_jobs_ended_total{worker=\"3\",outcome=\"cancelled\"} 16",
          "luna_worker_queue_seconds_total{worker=\"3\"} 17.5",
          "luna_worker_resident_bytes{worker=\"3\"} 6000",
          "luna_worker_peak_resident_bytes{worker=\"3\"} 7000",
          "luna_worker_memory_bytes{worker=\"3\",kind=\"weights\"} 5000",
          "luna_worker_files_read_total{worker=\"3\",kind=\"adapters\"} 9",
          "luna_worker_overlays_total{worker=\"3\",where=\"in_reused_memory\"} 7",
          "luna_device_seconds_total{worker=\"3\",kind=\"unet\"} 12.5",
          "luna_forward_rows_count{worker=\"3\",kind=\"unet\"} 10",
          "luna_forward_rows_sum{worker=\"3\",kind=\"unet\"} 431",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"1\"} 4",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"2\"} 4",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"4\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"8\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"16\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"32\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"64\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"128\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"256\"} 9",
          "luna_forward_rows_bucket{worker=\"3\",kind=\"unet\",le=\"+Inf\"} 10",
          "luna_models{worker=\"3\",slot=\"unet\",family=\"sd1\",precision=\"bf16\"} 2",
          "luna_model_bytes{worker=\"3\",slot=\"unet\",family=\"sd1\",precision=\"bf16\","
          "kind=\"weights\"} 5000"));
}

TEST(Metrics, FollowPrometheusCustom) {
  for (const prometheus::MetricFamily& family : metrics_of(full_status())) {
    EXPECT_THAT(family.name, testing::MatchesRegex("luna_[a-z_]+"));
    EXPECT_FALSE(family.help.empty()) << family.name;
    const bool counter = family.type == prometheus::MetricType::Counter;
    EXPECT_EQ(family.name.ends_with("_total"), counter) << family.name;
  }
}

TEST(Metrics, NameNoFamilyAndNoSeriesTwice) {
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : metrics_of(full_status())) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name;
    std::set<std::vector<prometheus::ClientMetric::Label>> series;
    for (const prometheus::ClientMetric& metric : family.metric) {
      EXPECT_TRUE(series.insert(metric.label).second) << family.name;
    }
  }
}

TEST(Metrics, OfADaemonWithoutWorkersNameTheSameFamilies) {
  EXPECT_EQ(metrics_of(StatusInfo{}).size(), metrics_of(full_status()).size());
  EXPECT_THAT(text_of(StatusInfo{}), HasSubstr("# TYPE luna_forward_rows histogram"));
  EXPECT_THAT(text_of(StatusInfo{}), Not(HasSubstr("worker=")));
}

TEST(Metrics, SayThatTheDaemonDrains) {
  StatusInfo status;
  status.draining = true;
  EXPECT_THAT(text_of(status), HasSubstr("luna_draining 1\n"));
}

}  // namespace
}  // namespace luna::front
