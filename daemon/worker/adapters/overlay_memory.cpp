#include "daemon/worker/adapters/overlay_memory.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include <c10/util/accumulate.h>
#include <sys/mman.h>

#include "daemon/worker/ops/cpu_packing.h"
#include "daemon/worker/ops/torch_call.h"

namespace luna::worker {
namespace {

// Weights begin where vector instructions and a GPU's loads like it.
constexpr std::uint64_t kAlignment = 256;
constexpr std::uint64_t kLargePage = 2 << 20;

std::uint64_t rounded_up(std::uint64_t bytes, std::uint64_t to) {
  return (bytes + to - 1) / to * to;
}

at::Tensor host_bytes(std::uint64_t bytes) {
  const bool large = bytes >= kLargePage;
  const std::uint64_t alignment = large ? kLargePage : kAlignment;
  const std::uint64_t rounded = rounded_up(std::max<std::uint64_t>(bytes, 1), alignment);
  void* const memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  if (large) madvise(memory, rounded, MADV_HUGEPAGE);
  return at::from_blob(
      memory, {static_cast<std::int64_t>(bytes)}, [](void* allocated) { std::free(allocated); },
      at::kByte);
}

}  // namespace

OverlayLayout OverlayLayout::of(const AdapterPlan& plan, const WeightStore::Tensors& running) {
  OverlayLayout layout;
  for (const auto& [name, shape] : plan.shapes) {
    const auto runs = running.find(name);
    if (runs == running.end() || ops::is_packed(runs->second) || !runs->second.is_contiguous())
      continue;
    const at::ScalarType type = runs->second.scalar_type();
    layout.parts.emplace(name, Part{shape, type, layout.bytes});
    layout.bytes += rounded_up(
        static_cast<std::uint64_t>(c10::multiply_integers(shape)) * c10::elementSize(type),
        kAlignment);
  }
  return layout;
}

Result<std::shared_ptr<OverlayMemory>> OverlayMemory::allocate(OverlayLayout layout,
                                                               at::Device device) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor bytes, torch_call("memory for an overlay", [&] {
                          if (device.is_cpu()) return host_bytes(layout.bytes);
                          return at::empty({static_cast<std::int64_t>(layout.bytes)},
                                           at::TensorOptions().dtype(at::kByte).device(device));
                        }));
  return std::shared_ptr<OverlayMemory>(new OverlayMemory(std::move(layout), std::move(bytes)));
}

WeightStore::Tensors OverlayMemory::tensors() {
  WeightStore::Tensors tensors;
  auto* const begin = static_cast<std::byte*>(bytes_.mutable_data_ptr());
  for (const auto& [name, part] : layout_.parts) {
    tensors.emplace(name,
                    at::from_blob(
                        begin + part.offset, part.shape, [self = shared_from_this()](void*) {},
                        bytes_.options().dtype(part.type)));
  }
  return tensors;
}

}  // namespace luna::worker
