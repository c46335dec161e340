#include "common/config/option_table.h"

#include <array>

#include "common/types/role.h"

namespace luna {
namespace {

constexpr std::uint64_t kDay = 24 * 60 * 60;
constexpr std::uint64_t kHourMs = 60 * 60 * 1000;
constexpr std::uint64_t kTebi = 1ull << 40;
constexpr std::uint64_t kMillion = 1'000'000;
constexpr std::array<std::string_view, 6> kLogLevels = {"trace", "debug", "info",
                                                        "warn",  "error", "off"};
constexpr std::array<std::string_view, 2> kPoolPresets = {"full", "split"};

}  // namespace

const std::vector<Option<Config::Server>>& server_options() {
  using S = Config::Server;
  using Text = Option<S>::Text;
  static const std::vector<Option<S>> kOptions = {
      {.name = "unix_socket", .field = &S::unix_socket, .text = Text::kPath},
      {.name = "listen", .field = &S::listen},
      {.name = "drain_seconds", .field = &S::drain_seconds, .max = kDay},
      {.name = "idle_exit_seconds", .field = &S::idle_exit_seconds, .max = 365 * kDay},
      {.name = "reflection", .field = &S::reflection},
  };
  return kOptions;
}

const std::vector<Option<Config::Models>>& models_options() {
  using S = Config::Models;
  using Text = Option<S>::Text;
  static const std::vector<Option<S>> kOptions = {
      {.name = "roots", .field = &S::roots, .text = Text::kPath},
      {.name = "extra_model_paths", .field = &S::extra_model_paths, .text = Text::kPath},
      {.name = "clip_vocabulary", .field = &S::clip_vocabulary, .text = Text::kPath},
      {.name = "uploads", .field = &S::uploads, .text = Text::kPath},
  };
  return kOptions;
}

const std::vector<Option<Config::Pool>>& pool_options() {
  using S = Config::Pool;
  static const std::vector<Option<S>> kOptions = {
      {.name = "name", .field = &S::name},
      {.name = "preset", .field = &S::preset, .choices = kPoolPresets},
      {.name = "roles", .field = &S::roles, .choices = kRoleNames},
      {.name = "devices", .field = &S::devices},
      {.name = "min_workers", .field = &S::min_workers, .max = 64},
      {.name = "max_workers", .field = &S::max_workers, .max = 64},
      {.name = "scale_up_jobs", .field = &S::scale_up_jobs, .min = 1, .max = kMillion},
      {.name = "scale_up_wait_ms", .field = &S::scale_up_wait_ms, .max = kHourMs},
      {.name = "scale_down_idle_seconds", .field = &S::scale_down_idle_seconds, .max = 30 * kDay},
      {.name = "spare_workers", .field = &S::spare_workers, .max = 16},
      {.name = "start_timeout_ms", .field = &S::start_timeout_ms, .max = kHourMs},
      {.name = "crash_loop_limit", .field = &S::crash_loop_limit, .max = 1000},
      {.name = "threads", .field = &S::threads, .max = 1024},
      {.name = "max_rows_per_forward", .field = &S::max_rows_per_forward, .min = 1, .max = 1024},
      {.name = "memory_budget_mib", .field = &S::memory_budget_mib, .max = kTebi >> 20},
      {.name = "cuda_outbox_mib", .field = &S::cuda_outbox_mib, .max = kTebi >> 20},
      {.name = "cuda_imports", .field = &S::cuda_imports, .min = 1, .max = 4096},
  };
  return kOptions;
}

const std::vector<Option<Config::Memory>>& memory_options() {
  using S = Config::Memory;
  static const std::vector<Option<S>> kOptions = {
      {.name = "host_copies_mib", .field = &S::host_copies_mib, .max = kTebi >> 20},
      {.name = "shared_read_wait_ms", .field = &S::shared_read_wait_ms, .max = kHourMs / 6},
  };
  return kOptions;
}

const std::vector<Option<Config::Supervision>>& supervision_options() {
  using S = Config::Supervision;
  using Text = Option<S>::Text;
  static const std::vector<Option<S>> kOptions = {
      {.name = "worker_program", .field = &S::worker_program, .text = Text::kPath},
      {.name = "heartbeat_ms", .field = &S::heartbeat_ms, .min = 10, .max = 60'000},
      {.name = "heartbeat_timeout_ms",
       .field = &S::heartbeat_timeout_ms,
       .min = 100,
       .max = kHourMs},
      {.name = "step_timeout_ms", .field = &S::step_timeout_ms, .max = 24 * kHourMs},
      {.name = "start_timeout_ms", .field = &S::start_timeout_ms, .min = 100, .max = kHourMs},
      {.name = "backoff_first_ms", .field = &S::backoff_first_ms, .min = 1, .max = kHourMs},
      {.name = "backoff_max_ms", .field = &S::backoff_max_ms, .min = 1, .max = kHourMs},
      {.name = "crash_loop_limit", .field = &S::crash_loop_limit, .min = 1, .max = 1000},
      {.name = "crash_loop_seconds", .field = &S::crash_loop_seconds, .min = 1, .max = kDay},
      {.name = "poison_minutes", .field = &S::poison_minutes, .min = 1, .max = 7 * 24 * 60},
  };
  return kOptions;
}

const std::vector<Option<Config::Limits>>& limits_options() {
  using S = Config::Limits;
  static const std::vector<Option<S>> kOptions = {
      {.name = "queue_per_workflow", .field = &S::queue_per_workflow, .min = 1, .max = kMillion},
      {.name = "queue_total", .field = &S::queue_total, .min = 1, .max = kMillion},
      {.name = "rows_per_call", .field = &S::rows_per_call, .min = 1, .max = 4096},
      {.name = "inline_bytes", .field = &S::inline_bytes, .min = 1 << 16, .max = 2ull << 30},
      {.name = "message_bytes",
       .field = &S::message_bytes,
       .min = 1 << 20,
       .max = (2ull << 30) - 1},
      {.name = "max_pixels_edge", .field = &S::max_pixels_edge, .min = 64, .max = 1 << 20},
      {.name = "max_steps", .field = &S::max_steps, .min = 1, .max = kMillion},
      {.name = "max_prompt_bytes", .field = &S::max_prompt_bytes, .min = 1, .max = 64 << 20},
      {.name = "workflows", .field = &S::workflows, .min = 1, .max = kMillion},
      {.name = "sessions", .field = &S::sessions, .min = 1, .max = kMillion},
      {.name = "resident_bytes_per_session", .field = &S::resident_bytes_per_session, .max = kTebi},
      {.name = "resident_bytes_per_workflow",
       .field = &S::resident_bytes_per_workflow,
       .max = 1024 * kTebi},
      {.name = "regions_per_session", .field = &S::regions_per_session, .max = 65536},
      {.name = "region_bytes_per_session", .field = &S::region_bytes_per_session, .max = kTebi},
      {.name = "default_ttl_seconds",
       .field = &S::default_ttl_seconds,
       .min = 1,
       .max = 365 * kDay},
      {.name = "max_reruns", .field = &S::max_reruns, .max = 100},
      {.name = "pinned_files", .field = &S::pinned_files, .max = 65536},
      {.name = "step_sockets_per_session", .field = &S::step_sockets_per_session, .max = 256},
      {.name = "adapter_bytes", .field = &S::adapter_bytes, .max = kTebi},
      {.name = "uploads_bytes", .field = &S::uploads_bytes, .max = kTebi},
  };
  return kOptions;
}

const std::vector<Option<Config::Metrics>>& metrics_options() {
  using S = Config::Metrics;
  static const std::vector<Option<S>> kOptions = {
      {.name = "listen", .field = &S::listen},
  };
  return kOptions;
}

const std::vector<Option<Config::Log>>& log_options() {
  using S = Config::Log;
  static const std::vector<Option<S>> kOptions = {
      {.name = "level", .field = &S::level, .choices = kLogLevels},
      {.name = "file", .field = &S::file, .text = Option<S>::Text::kPath},
  };
  return kOptions;
}

}  // namespace luna
