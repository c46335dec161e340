#include "daemon/worker/adapters/factor.h"

namespace luna::worker {

Result<Factor> Factor::from(const AdapterParts& parts, const std::string& name,
                            const std::string& core) {
  Factor factor;
  LUNA_ASSIGN_OR_RETURN(factor.a, parts.need(name + "_a", 2));
  LUNA_ASSIGN_OR_RETURN(factor.b, parts.need(name + "_b", 2));
  if (!core.empty()) factor.core = parts.find(core);
  const auto& [a, b, middle] = factor;
  const bool together = middle.defined() ? middle.dim() == 4 && middle.size(0) == a.size(0) &&
                                               middle.size(1) == b.size(0)
                                         : a.size(1) == b.size(0);
  if (!together || a.dim() != 2 || b.dim() != 2) {
    return parts.wrong("the parts of '" + name + "' do not belong together");
  }
  return factor;
}

std::int64_t Factor::numel() const {
  const std::int64_t matrix = rows() * b.size(1);
  return core.defined() ? matrix * core.size(2) * core.size(3) : matrix;
}

at::Tensor Factor::product(const at::Tensor& like) const {
  if (!core.defined()) return at::mm(f32_beside(a, like), f32_beside(b, like));
  return at::einsum("ijkl,jr,ip->prkl",
                    {f32_beside(core, like), f32_beside(b, like), f32_beside(a, like)});
}

std::uint64_t Factor::bytes() const {
  return a.nbytes() + b.nbytes() + (core.defined() ? core.nbytes() : 0);
}

}  // namespace luna::worker
