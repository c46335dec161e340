#pragma once

#include <string>
#include <utility>
#include <vector>

#include "daemon/front/core/front_core.h"
#include "daemon/front/core/plane_desk.h"

namespace luna::front {

/// The regions that a reply names. They are the client's from the moment that it has the reply, and
/// nobody's when it does not get it.
struct HandedOver {
  FrontCore* core = nullptr;
  std::string session;
  std::vector<std::string> regions;

  /// The reply did not arrive.
  void drop() {
    if (core) core->planes().drop(session, std::exchange(regions, {}));
  }
};

/// PlaneDesk::hand_over for the caller's session.
inline HandedOver hand_over(FrontCore& core, const std::string& session, JobReply& reply) {
  return {&core, session, core.planes().hand_over(session, reply)};
}

}  // namespace luna::front
