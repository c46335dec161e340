#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/front/core/worker_port.h"

namespace luna::front {

/// A worker without a process: keeps what it is given until the test answers, or answers by itself.
class FakeWorker : public WorkerPort {
 public:
  explicit FakeWorker(std::uint64_t id) : id_{id} {}

  WorkerId id() const override { return id_; }

  void run(const Job& job, JobEvents events) override {
    seen.push_back(job);
    if (answer) {
      if (std::optional<Result<JobReply>> reply = answer(job)) {
        events.on_done(*std::move(reply));
        return;
      }
    }
    running.emplace_back(job, std::move(events));
  }

  void cancel(JobId job) override {
    cancelled.push_back(job);
    finish(job, Status(StatusCode::kCancelled, "cancelled by the worker"));
  }

  void pin(const std::vector<std::string>& paths) override { pins = paths; }
  void open_steps(StepsOpening opening, UniqueFd socket) override {
    if (on_open_steps) on_open_steps(opening);
    steps.emplace_back(std::move(opening), std::move(socket));
  }
  void release_leases(const std::vector<std::string>& lease_ids) override {
    released.insert(released.end(), lease_ids.begin(), lease_ids.end());
  }
  void end_session(const std::string& session) override { ended_sessions.push_back(session); }

  void finish(JobId id, Result<JobReply> result) {
    const auto found =
        std::ranges::find(running, id, [](const auto& entry) { return entry.first.id; });
    if (found == running.end()) return;
    JobEvents events = std::move(found->second);
    running.erase(found);
    events.on_done(std::move(result));
  }

  void finish_all(const Result<JobReply>& result) {
    while (!running.empty()) finish(running.front().first.id, result);
  }

  /// As a link does it when its process is gone.
  void die() { finish_all(Status(StatusCode::kUnavailable, "the worker's socket ended")); }

  void progress(JobId id, int step) {
    for (auto& [job, events] : running) {
      if (job.id == id) events.on_progress({.step = step, .steps = 20});
    }
  }

  /// nullopt: the job stays in `running`.
  std::function<std::optional<Result<JobReply>>(const Job&)> answer;
  std::vector<Job> seen;
  std::vector<std::pair<Job, JobEvents>> running;
  std::vector<JobId> cancelled;
  std::vector<std::string> pins;  ///< as it was told last
  std::vector<std::pair<StepsOpening, UniqueFd>> steps;
  std::function<void(const StepsOpening&)> on_open_steps;
  std::vector<std::string> released;
  std::vector<std::string> ended_sessions;

 private:
  WorkerId id_;
};

}  // namespace luna::front
