#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace luna {

/// config.toml as typed values; every default stands here and, with its reason, in config.toml.
struct Config {
  struct Server {
    std::string
        unix_socket;  ///< "" : $XDG_RUNTIME_DIR/luna/lunad.sock, else /tmp/luna-<uid>/lunad.sock
    std::string listen = "127.0.0.1:50551";  ///< "" : no TCP
    std::uint32_t drain_seconds = 30;
    std::uint32_t idle_exit_seconds = 0;  ///< 0: never
    bool reflection = true;
  } server;
  struct Models {
    std::vector<std::string>
        roots;  ///< folders in ComfyUI's layout; relative ones to the config file
    std::string extra_model_paths;  ///< an extra_model_paths.yaml; "" : none
    std::string clip_vocabulary;    ///< "" : beside the installation
    std::string uploads;            ///< folder of what clients upload; "" : the user's own
  } models;
  struct Pool {
    std::string name = "default";
    std::string preset = "full";  ///< "split" is two pools by the time it has been read
    std::vector<std::string> roles = {"clip", "vae", "unet"};
    std::vector<std::string> devices = {"auto"};  ///< "auto": every GPU, else "cpu"
    std::uint32_t min_workers = 1;                ///< of each device
    std::uint32_t max_workers = 0;                ///< of each device; 0: as min_workers, 1 at least
    std::uint32_t scale_up_jobs = 8;
    std::uint32_t scale_up_wait_ms = 1000;
    std::uint32_t scale_down_idle_seconds = 300;
    std::uint32_t spare_workers = 1;     ///< processes that stand by for workers that die
    std::uint32_t start_timeout_ms = 0;  ///< 0: that of [supervision]
    std::uint32_t crash_loop_limit = 0;  ///< 0: that of [supervision]
    std::uint32_t threads = 0;
    std::uint32_t max_rows_per_forward = 16;
    std::uint64_t memory_budget_mib = 0;
    std::uint64_t cuda_outbox_mib = 512;
    std::uint32_t cuda_imports = 64;

    std::uint32_t most_workers() const { return std::max({min_workers, max_workers, 1u}); }
  };
  std::vector<Pool> pools = {Pool{}};
  struct Memory {
    std::uint64_t host_copies_mib = 0;  ///< 0: half of the machine's memory
    std::uint32_t shared_read_wait_ms = 60'000;
  } memory;
  struct Supervision {
    std::string worker_program;  ///< "" : luna-worker beside lunad
    std::uint32_t heartbeat_ms = 500;
    std::uint32_t heartbeat_timeout_ms = 10000;
    std::uint32_t step_timeout_ms = 600000;  ///< 0: never
    std::uint32_t start_timeout_ms = 120000;
    std::uint32_t backoff_first_ms = 100;
    std::uint32_t backoff_max_ms = 10000;
    std::uint32_t crash_loop_limit =
        10;  ///< deaths within crash_loop_seconds after which a worker stays down
    std::uint32_t crash_loop_seconds = 60;
    std::uint32_t poison_minutes = 60;
  } supervision;
  struct Limits {
    std::uint32_t queue_per_workflow = 256;
    std::uint32_t queue_total = 1024;
    std::uint32_t rows_per_call = 64;
    std::uint64_t inline_bytes = 64ull << 20;
    std::uint64_t message_bytes = 256ull << 20;
    std::uint32_t max_pixels_edge = 16384;
    std::uint32_t max_steps = 10000;
    std::uint32_t max_prompt_bytes = 65536;
    std::uint32_t workflows = 1024;
    std::uint32_t sessions = 1024;
    std::uint64_t resident_bytes_per_session = 4ull << 30;
    std::uint64_t resident_bytes_per_workflow = 16ull << 30;
    std::uint32_t regions_per_session = 1024;
    std::uint64_t region_bytes_per_session = 4ull << 30;
    std::uint32_t default_ttl_seconds = 3600;
    std::uint32_t max_reruns = 3;
    std::uint32_t pinned_files = 256;
    std::uint32_t step_sockets_per_session = 16;
    std::uint64_t adapter_bytes = 2ull << 30;
    std::uint64_t uploads_bytes = 16ull << 30;
  } limits;
  struct Metrics {
    std::string listen;  ///< "" : off
  } metrics;
  struct Log {
    std::string level = "info";
    std::string file;  ///< "" : stderr
  } log;

  std::string source;  ///< the file it came from, "" for the defaults
};

/// Reads and checks a file. An unknown key, a wrong type or a value out of range is
/// INVALID_ARGUMENT with file, line and the nearest valid name.
Result<Config> load_config(const std::string& path);
/// As load_config, over a text; `name` stands for the file in messages, and its folder for the one
/// that relative paths start from.
Result<Config> parse_config(std::string_view text, const std::string& name);
/// Every option with its value, as a file that parse_config reads back to the same.
std::string to_toml(const Config& config);

}  // namespace luna
