#pragma once

namespace luna {

/// What a worker exits with when its device has failed and answers nothing any more, so that only a
/// new process can use it.
inline constexpr int kDeviceErrorExit = 4;

}  // namespace luna
