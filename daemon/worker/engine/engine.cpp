#include "daemon/worker/engine/engine.h"

#include <utility>

#include "daemon/worker/engine/device.h"
#include "daemon/worker/engine/device_engine.h"
#include "daemon/worker/ops/torch_call.h"
#include "daemon/worker/residency/model_source.h"
#include "daemon/worker/tokenizers/clip_tokenizer.h"

namespace luna::worker {

Result<std::unique_ptr<Engine>> Engine::open(const WorkerSettings& settings, BytesMaker make_bytes,
                                             std::shared_ptr<HostCopies> copies,
                                             std::unique_ptr<DevicePlane> plane) {
  return torch_call("opening the engine", [&]() -> Result<std::unique_ptr<Engine>> {
    LUNA_ASSIGN_OR_RETURN(ComputeDevice device, ComputeDevice::open(settings));
    LUNA_ASSIGN_OR_RETURN(auto tokenizer, ClipTokenizer::load(settings.clip_vocabulary));
    return std::unique_ptr<Engine>(std::make_unique<DeviceEngine>(
        settings, std::move(device), std::move(tokenizer), make_file_source(std::move(copies)),
        std::move(make_bytes), std::move(plane)));
  });
}

}  // namespace luna::worker
