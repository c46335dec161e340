#pragma once

#include <cstdint>

#include "common/base/status.h"

// Memory that another process made with cuMemCreate and exported as a POSIX descriptor. It lives as
// long as anybody holds it: its maker may die.
namespace luna::worker::vmm_import {

/// Maps the whole allocation, readable and writable from `device`. INVALID_ARGUMENT when `bytes` is
/// no multiple of the device's granularity, or the driver cannot import the descriptor.
Result<void*> map(int device, int fd, std::uint64_t bytes);
Status unmap(void* base, std::uint64_t bytes);

}  // namespace luna::worker::vmm_import
