#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "daemon/front/core/worker_port.h"

namespace luna::front {

/// Answers each kind of job with values that follow from the request, from a thread of its own.
/// Tests may hold sampling back, and see what was cancelled.
class FakeWorker final : public WorkerPort {
 public:
  explicit FakeWorker(std::uint64_t id);
  ~FakeWorker() override;

  WorkerId id() const override { return id_; }
  void run(const Job& job, JobEvents events) override;
  void cancel(JobId job) override;
  void pin(const std::vector<std::string>&) override {}
  void open_steps(StepsOpening, UniqueFd) override {}
  void release_leases(const std::vector<std::string>& lease_ids) override;
  void end_session(const std::string&) override {}

  /// Ends the thread. To be called before the last reference goes, which the thread itself may
  /// hold.
  void stop();
  /// From now on sample jobs report no step and wait until they are cancelled or released.
  void hold_samples();
  void release_samples();
  int held();
  int cancelled();
  /// VAE decoding answers with one row of pixels of this size.
  void set_result_bytes(std::size_t bytes);
  /// Its own names of leases that it was told to end.
  std::vector<std::string> released();
  /// The last job of its kind that came.
  std::optional<Job> last(std::string_view kind);

 private:
  struct Work {
    Job job;
    JobEvents events;
  };
  void serve();
  Result<JobReply> answer(const Work& work);

  WorkerId id_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  std::map<JobId, Work> held_;
  std::map<std::string, Job> last_;
  std::vector<std::string> released_;
  std::size_t result_bytes_ = 0;
  int cancelled_ = 0;
  bool hold_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace luna::front
