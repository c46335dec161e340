#include "tests/integration/schedule_run.h"

#include <algorithm>

#include <fmt/format.h>
#include <signal.h>

namespace luna::support {
namespace {

using Kind = ScheduleStep::Kind;
using Clock = ScheduleModel::Clock;

constexpr int kEndlessRun = 10000;
constexpr int kRefusalsWanted = 3;
constexpr std::uint32_t kShortTtl = 1;
constexpr std::chrono::seconds kPatience{60};

}  // namespace

SampleRequest ScheduleReferences::request_of(int seed, int steps) const {
  SampleRequest one = request;
  one.run.steps = steps;
  one.rows[0].noise.seed = static_cast<std::uint64_t>(seed);
  return one;
}

double ScheduleReferences::error_of(const SampleReply& reply, int checkpoint, int seed,
                                    int steps) const {
  return relative_error(reply, latents.at({checkpoint, seed, steps}));
}

RequestedModels scheduled_models(int checkpoint) {
  RequestedModels models;
  models.slots[Slot::kUNet] = {fmt::format("unet-{}.safetensors", checkpoint), Precision::kF32};
  models.slots[Slot::kClipL] = {"text.safetensors", Precision::kF32};
  return models;
}

ScheduleRun::ScheduleRun(DaemonProcess& daemon, const ScheduleReferences& references,
                         std::uint64_t seed)
    : daemon_(daemon),
      references_(references),
      prefix_(fmt::format("s{}.w", seed)),
      model_(kLimits, [&references](const SampleReply& reply, int checkpoint, int row, int steps) {
        return references.error_of(reply, checkpoint, row, steps);
      }) {
  for (auto& client : clients_) client = daemon_.connect();
}

ScheduleRun::~ScheduleRun() {
  for (auto& [workflow, aside] : aside_) aside.outcome.wait();
}

std::vector<std::string> ScheduleRun::run(const std::vector<ScheduleStep>& steps) {
  for (const ScheduleStep& step : steps) {
    if (!std::ranges::all_of(clients_, [](const auto& client) { return client != nullptr; })) {
      complain("a client cannot connect");
      return complaints_;
    }
    refresh();
    perform(step);
  }
  finish();
  return complaints_;
}

std::string ScheduleRun::id_of(int workflow) const { return prefix_ + std::to_string(workflow); }

void ScheduleRun::perform(const ScheduleStep& step) {
  switch (step.kind) {
    case Kind::kRegister:
      return register_now(step);
    case Kind::kRegisterAside:
      return register_aside(step);
    case Kind::kSample:
      sample(step, false);
      return;
    case Kind::kSampleRunning: {
      const Flying& flying = sample(step, false);
      wait_until([&] { return *flying.progress > 0 || flying.answer.arrived(); },
                 std::chrono::seconds(2));
      return;
    }
    case Kind::kCancel:
      if (const auto all = flying(); !all.empty()) cancel(*all[step.which % all.size()]);
      return;
    case Kind::kRelease:
      return release(step);
    case Kind::kExpire:
      return expire(step);
    case Kind::kUpload:
      return upload(step);
    case Kind::kKillWorker:
      return kill_worker(step);
    case Kind::kOverload:
      return overload(step);
    case Kind::kClientDies:
      return client_dies(step.client);
    case Kind::kPause:
      if (const auto all = flying(); !all.empty())
        (void)all[step.which % all.size()]->answer.wait();
      return;
  }
}

void ScheduleRun::refresh() {
  for (Flying& flying : flights_) {
    if (*flying.progress > 0) flying.call->admitted = true;
    const std::int64_t at = *flying.answered_at;
    if (at != 0) flying.call->answered = Clock::time_point(Clock::duration(at));
  }
}

void ScheduleRun::register_now(const ScheduleStep& step) {
  register_aside(step);
  join_aside(step.workflow);
}

void ScheduleRun::register_aside(const ScheduleStep& step) {
  join_aside(step.workflow);
  model_.changes(step.workflow, step.checkpoint, step.short_lease);
  aside_[step.workflow] = {
      step, std::async(std::launch::async,
                       [client = clients_[step.client].get(), id = id_of(step.workflow), step] {
                         return client
                             ->register_workflow(id, scheduled_models(step.checkpoint),
                                                 step.short_lease ? kShortTtl : 0, false)
                             .status();
                       })};
}

void ScheduleRun::join_aside(int workflow) {
  const auto found = aside_.find(workflow);
  if (found == aside_.end()) return;
  const Status status = found->second.outcome.get();
  const ScheduleStep step = found->second.step;
  aside_.erase(found);
  if (!status.ok()) return complain(fmt::format("{}: {}", in_words(step), status.to_string()));
  model_.settled(workflow, step.checkpoint, step.short_lease);
}

ScheduleRun::Flying& ScheduleRun::sample(const ScheduleStep& step, bool endless) {
  Flying& flying = flights_.emplace_back();
  flying.client = step.client;
  flying.incarnation = incarnations_[step.client];
  flying.step = in_words(step);
  flying.answered_at = std::make_shared<std::atomic<std::int64_t>>(0);
  flying.progress = std::make_shared<std::atomic<int>>(0);
  ScheduledCall call;
  call.workflow = step.workflow;
  call.seed = step.seed;
  call.steps = endless ? kEndlessRun : step.steps;
  call.endless = endless;
  flying.call = &model_.starts(std::move(call));

  client::CallOptions options;
  options.workflow_id = id_of(step.workflow);
  options.priority = static_cast<Priority>(step.which % 3);
  SampleRequest request = references_.request_of(step.seed, flying.call->steps);
  request.keep = step.keep && !endless;
  flying.handle = clients_[step.client]->sample(
      options, std::move(request),
      [progress = flying.progress](const SampleProgress&) { ++*progress; },
      [at = flying.answered_at, done = flying.answer.done()](Result<SampleReply> reply) {
        *at = Clock::now().time_since_epoch().count();
        done(std::move(reply));
      });
  return flying;
}

std::vector<ScheduleRun::Flying*> ScheduleRun::flying() {
  std::vector<Flying*> all;
  for (Flying& flying : flights_) {
    if (!flying.answer.arrived()) all.push_back(&flying);
  }
  return all;
}

void ScheduleRun::cancel(Flying& flying) {
  flying.call->cancelled = true;
  flying.handle->cancel();
}

void ScheduleRun::release(const ScheduleStep& step) {
  join_aside(step.workflow);
  const bool may_be_gone =
      model_.may_be(step.workflow, std::nullopt) || model_.short_lease(step.workflow);
  model_.changes(step.workflow, std::nullopt, false);
  const Status status = clients_[step.client]->release_workflow(id_of(step.workflow));
  if (!status.ok() && !(status.code() == StatusCode::kNotFound && may_be_gone))
    complain(fmt::format("{}: {}", in_words(step), status.to_string()));
  model_.settled(step.workflow, std::nullopt, false);
}

void ScheduleRun::expire(const ScheduleStep& step) {
  join_aside(step.workflow);
  if (!model_.short_lease(step.workflow)) return;
  for (Flying* flying : flying()) {
    if (flying->call->workflow == step.workflow) (void)flying->answer.wait();
  }
  const bool ended = wait_until(
      [&] {
        const auto workflows = clients_[step.client]->list_workflows();
        return workflows.ok() && std::ranges::none_of(*workflows, [&](const WorkflowInfo& info) {
                 return info.id == id_of(step.workflow);
               });
      },
      kPatience);
  if (!ended) return complain(fmt::format("{}: it is still registered", in_words(step)));
  model_.settled(step.workflow, std::nullopt, false);
}

void ScheduleRun::upload(const ScheduleStep& step) {
  const std::vector<float> values(64, static_cast<float>(step.which % 1000));
  client::GrpcClient& client = *clients_[step.client];
  const auto kept = client.upload("", tensor_of({64}, values));
  if (!kept.ok()) return complain(fmt::format("{}: {}", in_words(step), kept.status().to_string()));
  const auto back = client.download("", std::get<ResidentTensor>(kept->place).id);
  const auto read = back.ok() ? floats_of(*back) : Result<std::vector<float>>(back.status());
  if (!read.ok() || *read != values)
    complain(fmt::format("{}: read {}", in_words(step),
                         read.ok() ? "other values" : read.status().to_string()));
}

void ScheduleRun::kill_worker(const ScheduleStep& step) {
  const std::vector<pid_t> workers = daemon_.worker_pids();
  if (!workers.empty()) ::kill(workers[step.which % workers.size()], SIGKILL);
}

void ScheduleRun::overload(const ScheduleStep& step) {
  std::vector<Flying*> calls;
  for (int i = 0; i < kLimits.per_workflow + kRefusalsWanted; ++i)
    calls.push_back(&sample(step, true));
  const bool refused = wait_until(
      [&] {
        return std::ranges::count_if(calls, [](const Flying* flying) {
                 return flying->answer.arrived();
               }) >= kRefusalsWanted;
      },
      kPatience);
  if (!refused)
    complain(fmt::format("{}: fewer than {} were refused", in_words(step), kRefusalsWanted));
  for (Flying* flying : calls) cancel(*flying);
}

void ScheduleRun::client_dies(int client) {
  for (auto& [workflow, aside] : aside_) {
    if (aside.step.client == client) aside.outcome.wait();
  }
  for (Flying& flying : flights_) {
    const bool its_own = flying.client == client && flying.incarnation == incarnations_[client];
    if (its_own && !flying.answer.arrived()) flying.call->client_died = true;
  }
  clients_[client].reset();
  ++incarnations_[client];
  clients_[client] = daemon_.connect();
}

void ScheduleRun::judge(Flying& flying) {
  auto answer = flying.answer.wait();
  refresh();
  if (!flying.call->answered) return complain(flying.step + ": no answer within two minutes");
  const bool lives = flying.incarnation == incarnations_[flying.client];
  if (answer.ok()) {
    for (TensorRef& latent : answer->latents) {
      const auto* kept = std::get_if<ResidentTensor>(&latent.place);
      if (!kept) continue;
      if (!lives) return;  // freed with its session
      auto read = clients_[flying.client]->download(id_of(flying.call->workflow), kept->id);
      if (!read.ok())
        return complain(fmt::format("{}: reading it: {}", flying.step, read.status().to_string()));
      latent = *std::move(read);
    }
  }
  if (const std::string wrong = model_.verdict(*flying.call, answer); !wrong.empty())
    complain(fmt::format("{}: {}", flying.step, wrong));
}

void ScheduleRun::finish() {
  for (int workflow = 0; workflow < kScheduleWorkflows; ++workflow) join_aside(workflow);
  for (Flying& flying : flights_) (void)flying.answer.wait();
  for (Flying& flying : flights_) judge(flying);
  for (int workflow = 0; workflow < kScheduleWorkflows; ++workflow) {
    if (!model_.short_lease(workflow)) (void)clients_[0]->release_workflow(id_of(workflow));
  }
  for (auto& client : clients_) client.reset();
  StatusInfo status;
  const bool empty = wait_until(
      [&] {
        status = daemon_.status();
        const bool only_who_asks = status.sessions == 1;
        return only_who_asks && status.workflows.empty() && status.resident_tensors == 0 &&
               status.resident_bytes == 0 && status.jobs.running == 0 && status.jobs.queued == 0 &&
               status.queues.empty();
      },
      kPatience);
  if (!empty) {
    complain(fmt::format(
        "left behind: {} leases, {} sessions beside the one that asks, {} tensors, {} running and "
        "{} queued jobs",
        status.workflows.size(), static_cast<int>(status.sessions) - 1, status.resident_tensors,
        status.jobs.running, status.jobs.queued));
  }
}

}  // namespace luna::support
