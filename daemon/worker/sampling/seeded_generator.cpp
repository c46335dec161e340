#include "daemon/worker/sampling/seeded_generator.h"

#include <ATen/CPUGeneratorImpl.h>

namespace luna::worker {

at::Generator seeded_generator(at::Device device, std::uint64_t seed) {
  if (device.is_cpu()) return at::make_generator<at::CPUGeneratorImpl>(seed);
  at::Generator generator = at::globalContext()
                                .getAcceleratorHooksInterface(device.type())
                                .getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

}  // namespace luna::worker
