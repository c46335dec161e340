#pragma once

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "common/base/unique_fd.h"
#include "daemon/ipc/session/worker_link.h"

namespace luna::ipc {

/// How many descriptors this process has open.
inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// An io_context on a thread of its own.
class IoThread {
 public:
  ~IoThread() {
    work_.reset();
    thread_.join();
  }
  boost::asio::io_context& context() { return io_; }

 private:
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::thread thread_{[this] { io_.run(); }};
};

/// A value that a handler brings once.
template <class T>
class Arrival {
 public:
  void set(T value) { promise_.set_value(std::move(value)); }
  bool arrived() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  /// Waits up to 30 s.
  const T& get() {
    if (future_.wait_for(std::chrono::seconds(30)) != std::future_status::ready)
      die("nothing came within 30 s");
    return future_.get();
  }

 private:
  std::promise<T> promise_;
  std::shared_future<T> future_{promise_.get_future()};
};

/// One job's events.
struct Outcome {
  Arrival<Result<JobReply>> done;
  std::vector<SampleProgress> progress;  ///< complete once done has arrived

  Status status() { return done.get().status(); }
  template <class T>
  const T& reply() {
    return std::get<T>(done.get().value());
  }
};

/// The front's end of a link, with everything that its handlers bring.
class FrontSide {
 public:
  explicit FrontSide(UniqueFd socket, LinkOptions options = {}) {
    WorkerSettings settings;
    settings.device = "cuda:7";
    link_ = WorkerLink::adopt(
        io_.context(), socket.release(), WorkerId{3}, settings,
        {.on_ready =
             [this](const Status& status, std::string device) {
               ready_status = status;
               ready.set(std::move(device));
             },
         .on_heartbeat = [this](const WorkerReport& report) { heartbeats.push_back(report); },
         .on_seek_weights =
             [this](const ComponentSource& source, const auto& found) {
               sought = source;
               if (answer_seeks_later) {
                 late_answers.push_back(found);
               } else {
                 found(to_find);
               }
             },
         .on_offer_weights =
             [this](const ComponentSource& source, HostWeights weights) {
               offered.set({source, std::move(weights)});
             },
         .on_read_failed = [this](const ComponentSource& source) { failed_reads = {source}; },
         .on_closed =
             [this](const Status& status) {
               jobs_answered_at_close = answered_;
               closed.set(status);
             }},
        options);
  }
  ~FrontSide() {
    link_->close();
    closed.get();
  }

  WorkerLink& link() { return *link_; }

  std::shared_ptr<Outcome> run(JobRequest request, Deadline deadline = {}) {
    Job job;
    job.id = {++last_id_};
    job.deadline = deadline;
    job.request = std::move(request);
    return run(job);
  }
  std::shared_ptr<Outcome> run(const Job& job) {
    auto outcome = std::make_shared<Outcome>();
    link_->run(job, {[outcome](const SampleProgress& step) { outcome->progress.push_back(step); },
                     [outcome, this](Result<JobReply> result) {
                       ++answered_;
                       outcome->done.set(std::move(result));
                     }});
    return outcome;
  }
  JobId last_id() const { return {last_id_}; }

  Arrival<std::string> ready;
  Status ready_status;
  std::vector<WorkerReport> heartbeats;  ///< complete once closed has arrived
  std::optional<HostWeights> to_find;    ///< set before a job that seeks
  bool answer_seeks_later = false;       ///< set before a job that seeks
  std::vector<WorkerLink::Handlers::Found> late_answers;  ///< complete once a later job is done
  std::vector<ComponentSource> failed_reads;              ///< complete once that job is done
  ComponentSource sought;                ///< complete once that job is done
  Arrival<std::pair<ComponentSource, HostWeights>> offered;
  Arrival<Status> closed;
  int jobs_answered_at_close = -1;

 private:
  std::atomic<std::uint64_t> last_id_ = 0;
  int answered_ = 0;  ///< only on the io thread
  IoThread io_;
  std::shared_ptr<WorkerLink> link_;
};

}  // namespace luna::ipc
