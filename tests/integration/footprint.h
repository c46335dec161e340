#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/integration/daemon_process.h"

namespace luna::support {

/// Memory and descriptors of a daemon and its workers.
struct Footprint {
  /// Proportional set size of all of them, bytes. Weights in sealed memory that no worker maps at
  /// the moment are in nobody's share: StatusInfo::host_copy_bytes has them.
  std::uint64_t pss = 0;
  std::map<pid_t, int> descriptors;
};
Footprint footprint(const DaemonProcess& daemon);

/// A pool's first lines: a spare process that comes after a second would change the others' shares.
inline const std::string kNoSpares = "[[pool]]\nspare_workers = 0\n";

/// "1234 KiB, process 12: 34 descriptors", for messages.
std::string in_words(const Footprint& footprint);

}  // namespace luna::support
