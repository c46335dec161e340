// Loading a checkpoint's components, beside the speed of reading the same file into memory.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "client/rpc/grpc_client.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

/// Bytes read, or 0 on failure.
std::size_t read_whole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::vector<char> buffer(8 << 20);
  std::size_t total = 0;
  for (ssize_t n = 0; (n = read(fd, buffer.data(), buffer.size())) > 0;)
    total += static_cast<std::size_t>(n);
  close(fd);
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Loading a checkpoint's components, beside the speed of reading the same file (both from the "
      "page cache)."};
  std::string address, checkpoint, path, precision_text = "f32";
  int repeats = 3;
  app.add_option("--address", address)->required();
  app.add_option("--checkpoint", checkpoint, "as the daemon names it")->required();
  app.add_option("--path", path, "the same file's path here")->required();
  app.add_option("--precision", precision_text);
  app.add_option("--repeats", repeats);
  CLI11_PARSE(app, argc, argv);

  const auto precision = luna::precision_from_name(precision_text);
  if (!precision) return std::fprintf(stderr, "no precision '%s'\n", precision_text.c_str()), 2;
  luna::client::ConnectOptions options;
  options.address = address;
  auto client = luna::client::GrpcClient::connect(options);
  if (!client.ok()) return std::fprintf(stderr, "%s\n", client.status().to_string().c_str()), 1;

  double best_read = 1e9, best_load = 1e9;
  std::size_t bytes = 0;
  for (int i = 0; i < repeats; ++i) {
    auto began = Clock::now();
    bytes = read_whole(path);
    best_read = std::min(best_read, seconds_since(began));
    // With the host copies, so that every turn reads the file.
    if (auto freed = (*client)->unload_model(checkpoint, true); !freed.ok() && i > 0) {
      return std::fprintf(stderr, "%s\n", freed.status().to_string().c_str()), 1;
    }
    began = Clock::now();
    for (luna::Slot slot : {luna::Slot::kUNet, luna::Slot::kClipL, luna::Slot::kVae}) {
      auto loaded = (*client)->load_model(slot, {checkpoint, *precision});
      if (!loaded.ok()) return std::fprintf(stderr, "%s\n", loaded.status().to_string().c_str()), 1;
    }
    best_load = std::min(best_load, seconds_since(began));
  }
  if (bytes == 0) return std::fprintf(stderr, "cannot read %s\n", path.c_str()), 1;
  const nlohmann::json report = {{"file_bytes", bytes},
                                 {"read_gb_per_s", bytes / best_read / 1e9},
                                 {"load_gb_per_s", bytes / best_load / 1e9},
                                 {"load_s", best_load},
                                 {"load_to_read_ratio", best_load / best_read}};
  std::printf("%s\n", report.dump(2).c_str());
  return 0;
}
