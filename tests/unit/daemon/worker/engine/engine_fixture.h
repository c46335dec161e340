#pragma once

#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/worker/engine/engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {

/// One job's events, for the thread that waits for them.
class Outcome {
 public:
  JobEvents events();
  /// Waits for the end, at most a minute.
  Result<JobReply> wait();
  /// Waits until `count` progress events have come or the job has ended.
  void wait_for_progress(std::size_t count);
  std::vector<SampleProgress> progress();
  std::function<void(const SampleProgress&)> on_progress;  ///< on the device thread

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SampleProgress> progress_;
  std::optional<Result<JobReply>> result_;
  int ends_ = 0;
};

/// An engine on the CPU with a tiny checkpoint; made once a test.
class EngineTest : public testing::Test {
 protected:
  void SetUp() override;

  void open(WorkerSettings settings);
  Job job(JobRequest request);
  /// Runs a job and waits.
  Result<JobReply> run(JobRequest request);
  Result<JobReply> run(Job job);
  /// A request that samples one 8 x 8 latent.
  SampleRequest sample_request(std::uint64_t seed, const std::string& sampler = "euler",
                               int steps = 4, double cfg = 5.0);
  std::uint64_t unet_forwards() const;

  /// Written once a program: unet 32 channels, two levels.
  static const std::string& checkpoint();
  static support::TinySd15Options tiny_options();
  static ConditioningEntry entry(const std::string& name, int tokens = 77);

  support::TempDir dir_;
  WorkerSettings settings_;
  std::unique_ptr<Engine> engine_;
  ModelSet models_;
  std::uint64_t next_job_ = 1;
};

}  // namespace luna::worker
