// What an operator sees of a real daemon: metrics over HTTP, status and top, all the same numbers.
#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/integration/daemon_process.h"
#include "tests/integration/model_folder.h"
#include "tests/support/http_get.h"

namespace luna::support {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Operator : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.add_checkpoint("tiny.safetensors", 1);
    port_ = free_port();
    daemon_ = DaemonProcess::start(
        folder_.path(),
        {.extra_toml = "[metrics]\nlisten = \"127.0.0.1:" + std::to_string(port_) + "\"\n"});
  }
  Ended luna(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--address", daemon_->address()});
    return run_program("luna", arguments);
  }
  void make_a_picture() {
    const Ended made =
        luna({"generate", "--prompt", "a red boat", "--width", "64", "--height", "64", "--steps",
              "3", "--output", (folder_.path() / "picture.png").string()});
    ASSERT_EQ(made.status, 0) << made.err;
  }
  json status() {
    const Ended ended = luna({"status", "--json"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    return json::parse(ended.out, nullptr, false);
  }
  /// Samples by name and labels, as they stand on the page.
  std::map<std::string, double> scrape() {
    const HttpReply reply = http_get(port_, "/metrics");
    EXPECT_EQ(reply.status, 200);
    std::map<std::string, double> samples;
    std::istringstream lines(reply.body);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("luna_")) continue;
      const std::size_t space = line.rfind(' ');
      samples[line.substr(0, space)] = std::stod(line.substr(space + 1));
    }
    return samples;
  }

  ModelFolder folder_;
  int port_ = 0;
  std::unique_ptr<DaemonProcess> daemon_;
};

TEST_F(Operator, AfterAPictureMetricsAndStatusSayTheSame) {
  make_a_picture();
  // The worker's counters come with its next heartbeat.
  ASSERT_TRUE(wait_until([&] {
    const StatusInfo status = daemon_->status();
    return status.workers.at(0).report.forwards.contains("vae_decode") &&
           status.workers.at(0).report.jobs_running == 0 && status.jobs.running == 0;
  }));
  const json status = this->status();
  const auto metrics = scrape();
  const json& jobs = status["jobs"];
  EXPECT_GT(jobs["done"], 0);
  EXPECT_EQ(metrics.at("luna_jobs_ended_total{outcome=\"done\"}"), jobs["done"]);
  EXPECT_EQ(metrics.at("luna_jobs_accepted_total"), jobs["accepted"]);
  EXPECT_EQ(metrics.at("luna_jobs{state=\"running\"}"), 0);
  EXPECT_EQ(metrics.at("luna_workflows"), status["workflows"].size());
  EXPECT_EQ(metrics.at("luna_host_copy_bytes"), status["host_copy_bytes"]);
  const json& worker = status["workers"][0];
  const std::string own = "{worker=\"" + std::to_string(worker["id"].get<int>()) + "\"";
  EXPECT_EQ(metrics.at("luna_worker_jobs_ended_total" + own + ",outcome=\"done\"}"),
            worker["jobs_done"]);
  EXPECT_EQ(metrics.at("luna_worker_restarts_total" + own + "}"), 0);
  for (const char* kind : {"unet", "clip_l", "vae_decode"}) {
    const json& counters = worker["forwards"][kind];
    const std::string of_kind = own + ",kind=\"" + kind + "\"}";
    EXPECT_GT(counters["forwards"], 0) << kind;
    EXPECT_EQ(metrics.at("luna_forward_rows_count" + of_kind), counters["forwards"]) << kind;
    EXPECT_EQ(metrics.at("luna_forward_rows_sum" + of_kind), counters["rows"]) << kind;
    EXPECT_NEAR(metrics.at("luna_device_seconds_total" + of_kind), counters["seconds_on_device"],
                1e-4)
        << kind;
  }
  std::uint64_t weights = 0;
  for (const json& model : worker["models"])
    weights += model["resident_bytes"].get<std::uint64_t>();
  EXPECT_GT(weights, 0u);
  EXPECT_EQ(worker["memory"]["weights"], weights);
  EXPECT_EQ(metrics.at("luna_worker_memory_bytes" + own + ",kind=\"weights\"}"), weights);
  EXPECT_GE(worker["peak_resident_bytes"], weights);
}

TEST_F(Operator, TopOnceAsJsonIsOneObjectWithRates) {
  make_a_picture();
  const Ended top = luna({"top", "--once", "--json", "--interval", "0.2"});
  ASSERT_EQ(top.status, 0) << top.err;
  const json object = json::parse(top.out, nullptr, false);
  ASSERT_FALSE(object.is_discarded()) << top.out;
  EXPECT_EQ(object["jobs"]["done"], status()["jobs"]["done"]);
  EXPECT_GT(object["rates"]["seconds"], 0);
  EXPECT_EQ(object["rates"]["workers"][0]["id"], object["workers"][0]["id"]);
  const Ended view = luna({"top", "--once", "--interval", "0.2"});
  ASSERT_EQ(view.status, 0) << view.err;
  EXPECT_THAT(view.out, HasSubstr("forwards/s"));
  EXPECT_THAT(view.out, HasSubstr("tiny.safetensors"));
}

TEST_F(Operator, ATakenMetricsAddressStopsTheStartWithASentence) {
  const std::string listen = "127.0.0.1:" + std::to_string(port_);
  const std::string config = (folder_.path() / "second.toml").string();
  std::ofstream(config) << "[server]\nunix_socket = \"" << (folder_.path() / "second.sock").string()
                        << "\"\nlisten = \"\"\n[metrics]\nlisten = \"" << listen << "\"\n";
  const Ended second = run_program("lunad", {"--config", config});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("lunad: cannot listen on " + listen + " ([metrics] listen)"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "second.sock"));
}

TEST_F(Operator, WithoutAnAddressNothingListens) {
  ModelFolder other;
  other.add_checkpoint("tiny.safetensors", 1);
  const auto quiet = DaemonProcess::start(other.path());
  EXPECT_THAT(quiet->log(), ::testing::Not(HasSubstr("metrics at")));
  EXPECT_THAT(daemon_->log(), HasSubstr("metrics at http://127.0.0.1:" + std::to_string(port_)));
}

}  // namespace
}  // namespace luna::support
