#include "daemon/worker/engine/device_engine.h"

#include <algorithm>
#include <utility>

#include <c10/core/InferenceMode.h>
#include <pthread.h>

#include "common/log/log.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

constexpr std::size_t kMaxWaitingTexts = 1024;
/// After an interactive call, how long its client's next one is to be expected.
constexpr std::chrono::seconds kNextCallExpected{2};

RowBatcher::Options batcher_options(
    const WorkerSettings& settings, const ComputeDevice& device, Counters& counters,
    FairShare& share, const std::chrono::steady_clock::time_point& interactive_until) {
  RowBatcher::Options options;
  options.interactive_about = [&] { return std::chrono::steady_clock::now() < interactive_until; };
  options.max_rows = std::max(1, settings.max_rows_per_forward);
  options.activation_budget = [&device] { return device.free_bytes(); };
  options.on_activations = [&](std::uint64_t bytes) { counters.activations(bytes); };
  options.on_forward = [&](int rows, double seconds,
                           const std::map<std::string, int>& by_workflow) {
    counters.forward("unet", rows, seconds);
    for (const auto& [workflow, own] : by_workflow) share.charge(workflow, seconds * own / rows);
  };
  return options;
}

}  // namespace

DeviceEngine::DeviceEngine(const WorkerSettings& settings, ComputeDevice device,
                           std::unique_ptr<const ClipTokenizer> tokenizer,
                           std::unique_ptr<ModelSource> source, BytesMaker make_bytes,
                           std::unique_ptr<DevicePlane> plane)
    : settings_(settings),
      device_(std::move(device)),
      tokenizer_(std::move(tokenizer)),
      plane_(std::move(plane)),
      pacer_(device_.device()),
      rows_(batcher_options(settings_, device_, counters_, fair_share_, interactive_until_),
            pacer_),
      services_{device_.device(),
                rows_,
                pacer_,
                counters_,
                fair_share_,
                counting(std::move(make_bytes), results_),
                [this] { return device_.free_bytes(); },
                entries_,
                plane_.get()},
      embeddings_(settings_.embedding_folders) {
  Residency::Options options;
  options.device = device_.device();
  options.budget_bytes = settings_.memory_budget_bytes;
  options.prepare_thread = [this] { device_.prepare_thread(); };
  options.after_freeing = [this] { device_.release_reserve(); };
  residency_ = std::make_unique<Residency>(std::move(options), std::move(source));
  text_thread_ = std::make_unique<BackgroundThread>("luna-text", kMaxWaitingTexts);
  thread_ = std::thread([this] { loop(); });
}

DeviceEngine::~DeviceEngine() {
  {
    std::lock_guard lock(admission_);
    draining_ = true;
  }
  inbox_.post([this] { stopping_ = true; });
  thread_.join();
  text_thread_.reset();
  residency_.reset();
}

void DeviceEngine::run(Job job, JobEvents events, BytesMaker make_bytes) {
  Status refused;
  {
    std::lock_guard lock(admission_);
    if (draining_) {
      refused = error(StatusCode::kUnavailable, "the worker is draining and takes no new jobs");
    } else if (admitted_.size() >= settings_.max_queued_jobs) {
      refused =
          error(StatusCode::kResourceExhausted, "the worker's queue is full: {} jobs of at most {}",
                admitted_.size(), settings_.max_queued_jobs);
    } else if (!admitted_.insert(job.id).second) {
      refused = error(StatusCode::kAlreadyExists, "job {} is running already", job.id.value);
    }
  }
  if (!refused.ok()) {
    if (events.on_done) events.on_done(refused);
    return;
  }
  counters_.accepted();
  const auto now = std::chrono::steady_clock::now();
  inbox_.post([this, incoming = Incoming{std::move(job), std::move(events), std::move(make_bytes),
                                         now}]() mutable { accept(std::move(incoming)); });
}

void DeviceEngine::cancel(JobId job) {
  inbox_.post([this, job] {
    if (find(job)) end(job, error(StatusCode::kCancelled, "the job was cancelled"));
  });
}

void DeviceEngine::release_leases(std::vector<std::string> lease_ids) {
  if (!plane_) return;
  inbox_.post([this, lease_ids = std::move(lease_ids)] { plane_->release(lease_ids); });
}

void DeviceEngine::end_session(std::string session) {
  if (!plane_) return;
  inbox_.post([this, session = std::move(session)] { plane_->end_session(session); });
}

void DeviceEngine::drain(std::function<void()> idle) {
  {
    std::lock_guard lock(admission_);
    draining_ = true;
  }
  inbox_.post([this, idle = std::move(idle)]() mutable {
    idle_.push_back(std::move(idle));
    tell_if_idle();
  });
}

WorkerReport DeviceEngine::report() const {
  WorkerReport report = counters_.snapshot();
  report.device = device_.description();
  report.device_uuid = device_.uuid();
  report.models = residency_->loaded();
  report.resident_bytes = device_.resident_bytes();
  report.peak_resident_bytes = device_.peak_resident_bytes();
  const std::uint64_t overlays = residency_->overlay_bytes();
  report.memory["weights"] = residency_->resident_bytes() - overlays;
  report.memory["overlays"] = overlays;
  report.memory["results"] = *results_;
  report.memory["conditioning"] = entries_.sweep();
  report.files_read["models"] = residency_->model_reads();
  report.files_read["adapters"] = residency_->adapter_reads();
  const OverlayMemoryUse merged = residency_->overlay_memory_use();
  report.overlays = {{"in_new_memory", merged.in_new}, {"in_reused_memory", merged.in_reused}};
  return report;
}

void DeviceEngine::loop() {
  pthread_setname_np(pthread_self(), "luna-device");
  const c10::InferenceMode inference;
  device_.prepare_thread();
  while (!stopping_) {
    const Deadline at_once = Deadline::after(std::chrono::nanoseconds(0));
    const Deadline now_or_later = has_device_work() ? at_once : next_deadline();
    // What a call posts in its turn is taken too: else each such step would cost it a forward.
    for (auto calls = inbox_.take(now_or_later); !calls.empty(); calls = inbox_.take_posted()) {
      for (Inbox::Call& call : calls) call();
    }
    end_expired();
    if (stopping_) break;
    if (has_device_work()) run_device_work();
    collect();
  }
  while (!live_.empty())
    end(live_.begin()->first, error(StatusCode::kUnavailable, "the worker is shutting down"));
  const Status status = torch_call("finishing the device's work", [&] { pacer_.finish(); });
  if (!status.ok()) log::logger("engine").error("{}", status.to_string());
}

bool DeviceEngine::has_device_work() { return !rows_.empty() || most_urgent_item() != nullptr; }

DeviceEngine::LiveJob* DeviceEngine::most_urgent_item() {
  LiveJob* best = nullptr;
  for (const auto& [id, live] : live_) {
    if (!live->task || !live->task->has_item()) continue;
    if (!best || live->ticket.urgency(fair_share_) < best->ticket.urgency(fair_share_))
      best = live.get();
  }
  return best;
}

/// Rows and single items take turns, so that neither holds up the other; a higher priority goes
/// first.
void DeviceEngine::run_device_work() {
  LiveJob* const item = most_urgent_item();
  const std::optional<Urgency> rows = rows_.most_urgent();
  bool take_item = item != nullptr;
  if (item && rows) {
    take_item = item->ticket.priority == rows->priority ? !item_went_last_
                                                        : item->ticket.priority < rows->priority;
  }
  item_went_last_ = take_item;
  counters_.step_begins();
  if (take_item) {
    mark_started(*item);
    item->task->run_item();
  } else {
    rows_.run_next();
  }
  counters_.step_ends();
}

void DeviceEngine::mark_started(LiveJob& live) {
  if (std::exchange(live.started, true)) return;
  counters_.started(std::chrono::steady_clock::now() - live.accepted);
}

/// Lets every task go on with what it got, and answers those that have their result.
void DeviceEngine::collect() {
  std::vector<JobId> ids;
  for (const auto& [id, live] : live_) {
    if (live->task) ids.push_back(id);
  }
  for (JobId id : ids) {
    LiveJob* const live = find(id);
    if (!live) continue;
    live->task->advance();
    if (auto result = live->task->take_result()) end(id, std::move(*result));
  }
}

void DeviceEngine::end_expired() {
  std::vector<JobId> expired;
  for (const auto& [id, live] : live_) {
    if (live->job.deadline.expired()) expired.push_back(id);
  }
  for (JobId id : expired)
    end(id, error(StatusCode::kDeadlineExceeded, "the job's deadline has passed"));
}

Deadline DeviceEngine::next_deadline() const {
  Deadline next;
  for (const auto& [id, live] : live_) {
    if (live->job.deadline.at() < next.at()) next = live->job.deadline;
  }
  return next;
}

DeviceEngine::LiveJob* DeviceEngine::find(JobId id) {
  const auto live = live_.find(id);
  return live == live_.end() ? nullptr : live->second.get();
}

void DeviceEngine::end(JobId id, Result<JobReply> result) {
  const auto found = live_.find(id);
  if (found == live_.end()) return;
  const std::unique_ptr<LiveJob> live = std::move(found->second);
  live_.erase(found);
  expect_more_of(live->ticket.priority);
  live->task.reset();
  live->models.clear();
  if (plane_ && !result.ok()) plane_->release(*live->ticket.leases);
  fair_share_.leave(live->ticket.workflow);
  answer(*live, std::move(result));
  tell_if_idle();
}

void DeviceEngine::expect_more_of(Priority priority) {
  if (priority != Priority::kInteractive) return;
  interactive_until_ = std::chrono::steady_clock::now() + kNextCallExpected;
}

void DeviceEngine::answer(LiveJob& live, Result<JobReply> result) {
  const StatusCode code = result.status().code();
  counters_.ended(result.ok() ? Counters::Ending::kDone
                  : code == StatusCode::kCancelled || code == StatusCode::kDeadlineExceeded
                      ? Counters::Ending::kCancelled
                      : Counters::Ending::kFailed,
                  live.started);
  {
    std::lock_guard lock(admission_);
    admitted_.erase(live.job.id);
  }
  if (live.events.on_done) live.events.on_done(std::move(result));
}

void DeviceEngine::tell_if_idle() {
  if (idle_.empty()) return;
  {
    // A job that was admitted but not accepted yet is in the inbox.
    std::lock_guard lock(admission_);
    if (!admitted_.empty()) return;
  }
  for (auto& idle : std::exchange(idle_, {})) {
    if (idle) idle();
  }
}

}  // namespace luna::worker
