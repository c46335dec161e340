#include "daemon/worker/ops/parallel_threads.h"

// Of OpenMP 5.0. Declared here, since not every compiler that builds this has omp.h; weak, since
// not every runtime of libtorch's has it.
extern "C" int omp_pause_resource_all(int kind) __attribute__((weak));

namespace luna::worker::ops {

void end_parallel_threads() {
  constexpr int kSoft = 1;  // omp_pause_soft: settings stay
  if (omp_pause_resource_all != nullptr) omp_pause_resource_all(kSoft);
}

}  // namespace luna::worker::ops
