// What a client that has proved itself says on the local socket: any frames, with and without
// descriptors. Input: for each frame a byte (descriptors, 0 to 2), a byte (message number), two
// bytes (length of the body), the body.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "common/local/descriptors.h"
#include "common/local/host_id.h"
#include "common/local/memory.h"
#include "daemon/front/core/front_core.h"
#include "daemon/front/local/local_dialogue.h"

namespace {

using luna::front::LocalDialogue;

luna::UniqueFd memory() {
  static const luna::MemoryRegion region = *luna::MemoryRegion::create("fuzz", 4096);
  return *luna::duplicate(region.fd());
}

luna::Frame frame_of(std::uint16_t message, std::string body, std::size_t descriptors) {
  luna::Frame frame;
  frame.message = message;
  frame.body = std::move(body);
  for (std::size_t i = 0; i < descriptors; ++i) frame.descriptors.push_back(memory());
  return frame;
}

/// Attach and Prove as they should be.
void introduce(LocalDialogue& dialogue, const std::string& token) {
  luna::v1::LocalRequest attach, prove;
  attach.mutable_attach()->set_token(token);
  dialogue.hear(frame_of(LocalDialogue::kRequest, attach.SerializeAsString(), 1),
                [&](LocalDialogue::Answer answer) {
                  const auto nonce = answer.attachments.at(0)->view();
                  prove.mutable_prove()->set_nonce(nonce.data(), nonce.size());
                });
  dialogue.hear(frame_of(LocalDialogue::kRequest, prove.SerializeAsString(), 0),
                [](LocalDialogue::Answer) {});
  if (!dialogue.proved()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static luna::front::FrontCore core([] {
    auto config = std::make_shared<luna::Config>();
    config->limits.regions_per_session = 16;
    config->limits.region_bytes_per_session = 1 << 20;
    return config;
  }());
  core.planes().serve("/nowhere");
  const std::string session = core.open_session("fuzz", luna::host_id());
  {
    LocalDialogue dialogue(core.planes(), nullptr, [] {});
    introduce(dialogue, core.planes().offer(session)->token);
    bool open = true;
    while (open && size >= 4) {
      const std::size_t length = std::min<std::size_t>(data[2] | data[3] << 8, size - 4);
      std::string body(reinterpret_cast<const char*>(data + 4), length);
      int answers = 0;
      dialogue.hear(frame_of(data[1], std::move(body), data[0] % 3),
                    [&](LocalDialogue::Answer answer) {
                      ++answers;
                      open = !answer.last;
                    });
      if (answers != 1) std::abort();
      data += 4 + length;
      size -= 4 + length;
    }
  }
  core.close_session(session);
  if (core.status().regions != 0) std::abort();
  return 0;
}
