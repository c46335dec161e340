#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"

// Memory and events of other processes, by the handles of CUDA's classic IPC. The caller has made
// the device the thread's (DeviceScope).
namespace luna::worker::ipc_import {

Result<void*> open_memory(const std::string& handle);
Status close_memory(void* base);
Result<std::uint64_t> allocation_bytes(void* base);

Result<void*> open_event(const std::string& handle);
Status close_event(void* event);

}  // namespace luna::worker::ipc_import
