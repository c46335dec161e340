// Another process with memory on a GPU, for the tests and benchmarks of the CUDA plane: it does
// what a line on its standard input says and answers with a line.
//   alloc BYTES        -> HANDLE             cudaMalloc, and its cudaIpcMemHandle_t in hex
//   write BYTE [TURNS] -> EVENT              fills it (TURNS times, as work that takes a while),
//   and
//                                            records an event after that; nothing is waited for
//   after EVENT BYTE   -> ok                 fills it once that event of the other side has passed
//   read               -> BYTE | mixed      waits, then whether every byte is the same
//   open HANDLE OFFSET BYTES EVENT -> BYTE | mixed   of memory of the other side
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/worker/cuda/cuda_backend.h"
#include "tests/gpu/hex.h"

namespace luna::worker {
namespace {

class Peer {
 public:
  explicit Peer(CudaSharing& sharing) : sharing_(sharing) {}

  Result<std::string> answer(std::istringstream words) {
    std::string verb;
    words >> verb;
    if (verb == "alloc") {
      words >> bytes_;
      LUNA_ASSIGN_OR_RETURN(memory_, sharing_.allocate(bytes_));
      LUNA_ASSIGN_OR_RETURN(event_, sharing_.make_event());
      return to_hex(memory_.handle);
    }
    if (verb == "write") {
      int byte = 0, turns = 1;
      words >> byte >> turns;
      for (int turn = 0; turn < std::max(turns, 1); ++turn)
        LUNA_RETURN_IF_ERROR(fill(turn + 1 < turns ? 0 : byte));
      LUNA_RETURN_IF_ERROR(sharing_.record_event(event_.object));
      return to_hex(event_.handle);
    }
    if (verb == "after") {
      std::string event;
      int byte = 0;
      words >> event >> byte;
      LUNA_ASSIGN_OR_RETURN(void* const theirs, sharing_.open_event(from_hex(event)));
      LUNA_RETURN_IF_ERROR(sharing_.wait_event(theirs));
      LUNA_RETURN_IF_ERROR(fill(byte));
      return std::string("ok");
    }
    if (verb == "read") return content(memory_.object, bytes_);
    if (verb == "open") {
      std::string handle, event;
      std::uint64_t offset = 0, bytes = 0;
      words >> handle >> offset >> bytes >> event;
      LUNA_ASSIGN_OR_RETURN(void* const base, sharing_.open_memory(from_hex(handle)));
      LUNA_ASSIGN_OR_RETURN(void* const theirs, sharing_.open_event(from_hex(event)));
      LUNA_RETURN_IF_ERROR(sharing_.wait_event(theirs));
      return content(static_cast<char*>(base) + offset, bytes);
    }
    return error(StatusCode::kInvalidArgument, "no verb '{}'", verb);
  }

 private:
  /// On the device: a second piece of memory holds one pattern a byte value, made when first asked.
  Status fill(int byte) {
    auto& pattern = patterns_[static_cast<std::size_t>(byte & 255)];
    if (!pattern.object) {
      LUNA_ASSIGN_OR_RETURN(pattern, sharing_.allocate(bytes_));
      const std::string host(bytes_, static_cast<char>(byte));
      LUNA_RETURN_IF_ERROR(sharing_.copy(pattern.object, host.data(), bytes_));
    }
    return sharing_.copy(memory_.object, pattern.object, bytes_);
  }

  Result<std::string> content(const void* memory, std::uint64_t bytes) {
    std::string host(bytes, '\0');
    LUNA_RETURN_IF_ERROR(sharing_.copy(host.data(), memory, bytes));
    const bool same = std::ranges::all_of(host, [&](char c) { return c == host[0]; });
    return same ? std::to_string(static_cast<unsigned char>(host[0])) : std::string("mixed");
  }

  CudaSharing& sharing_;
  CudaSharing::Exported memory_, event_;
  std::vector<CudaSharing::Exported> patterns_ = std::vector<CudaSharing::Exported>(256);
  std::uint64_t bytes_ = 0;
};

int serve() {
  const auto backend = open_cuda(0);
  if (!backend.ok()) {
    std::cout << "error " << backend.status().to_string() << std::endl;
    return 1;
  }
  const auto sharing = (*backend)->sharing(0);
  if (!sharing.ok()) {
    std::cout << "error " << sharing.status().to_string() << std::endl;
    return 1;
  }
  Peer peer(**sharing);
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const auto answer = peer.answer(std::istringstream(line));
    std::cout << (answer.ok() ? *answer : "error " + answer.status().to_string()) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace luna::worker

int main() { return luna::worker::serve(); }
