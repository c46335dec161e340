#include <charconv>
#include <filesystem>
#include <string_view>

#include <dlfcn.h>

#include "daemon/worker/cuda/cuda_backend.h"

namespace luna::worker {
namespace {

constexpr std::string_view kModuleName = "libluna_cuda.so";

std::string beside_executable() {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::string(kModuleName) : (self.parent_path() / kModuleName).string();
}

}  // namespace

Result<int> cuda_index(const std::string& device) {
  if (device == "cuda") return 0;
  int index = -1;
  const std::string_view prefix = "cuda:";
  if (device.starts_with(prefix)) {
    const char* end = device.data() + device.size();
    const auto parsed = std::from_chars(device.data() + prefix.size(), end, index);
    if (parsed.ec == std::errc() && parsed.ptr == end && index >= 0 && index < 64) return index;
  }
  return error(StatusCode::kInvalidArgument,
               "device '{}': expected \"cpu\" or \"cuda:<n>\" with n in 0..63", device);
}

Result<CudaBackend*> open_cuda(int device, const std::string& module_path) {
  const std::string path = module_path.empty() ? beside_executable() : module_path;
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) {
    return error(StatusCode::kNotFound,
                 "device cuda:{}: {} is not there; this build of Luna serves CPUs only", device,
                 path);
  }
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!module) {
    const char* reason = dlerror();
    return error(StatusCode::kNotFound, "device cuda:{}: {} cannot be loaded: {}", device, path,
                 reason ? reason : "no reason given");
  }
  using Version = int (*)();
  using Make = CudaBackend* (*)();
  const auto version = reinterpret_cast<Version>(dlsym(module, "luna_cuda_module_version"));
  const auto make = reinterpret_cast<Make>(dlsym(module, "luna_cuda_backend"));
  if (!version || !make || version() != kCudaModuleVersion) {
    return error(StatusCode::kFailedPrecondition, "{}: expected module version {}, found {}", path,
                 kCudaModuleVersion, version ? std::to_string(version()) : "none");
  }
  CudaBackend* backend = make();
  LUNA_ASSIGN_OR_RETURN(const int count, backend->device_count());
  if (device >= count) {
    return error(StatusCode::kFailedPrecondition,
                 "device cuda:{}: this machine has {} CUDA device{}", device, count,
                 count == 1 ? "" : "s");
  }
  LUNA_RETURN_IF_ERROR(backend->set_device(device));
  return backend;
}

}  // namespace luna::worker
