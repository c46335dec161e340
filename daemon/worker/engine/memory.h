#pragma once

#include <cstdint>

namespace luna::worker {

/// Bytes that this process may still take: MemAvailable, or what is left of its control group's
/// limit if that is less. UINT64_MAX where the system does not tell. Asked of the system again
/// after 20 ms, since every evaluation asks and the answer takes 75 us.
std::uint64_t available_host_bytes();
/// Resident bytes of this process; 0 where the system does not tell.
std::uint64_t resident_host_bytes();
/// The most that it ever was; 0 where the system does not tell.
std::uint64_t peak_resident_host_bytes();

}  // namespace luna::worker
