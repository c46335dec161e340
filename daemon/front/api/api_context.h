#pragma once

#include "daemon/front/api/gate.h"
#include "daemon/front/core/front_core.h"

namespace luna::front {

/// What every service works on; outlives them all.
struct ApiContext {
  FrontCore& core;
  Gate& gate;
  Config::Limits limits;
};

/// Does a reply fit into one message? RESOURCE_EXHAUSTED for a tensor whose bytes
/// exceed inline_bytes, or for all together beyond message_bytes; the sentence names the way out,
/// `keep` and Tensors.Download.
Status check_inline_size(JobReply& reply, const Config::Limits& limits);

/// A request as its call owns it: gRPC hands it out as const, and it is this call's alone, so its
/// bytes may be moved out.
template <class Message>
Message& taken(const Message* message) {
  return const_cast<Message&>(*message);
}

}  // namespace luna::front
