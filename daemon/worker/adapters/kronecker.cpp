#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

/// w1 or w2: whole, or a·b, the second one also around a core.
struct Factor {
  at::Tensor whole, a, b, core;

  bool is_product() const { return !whole.defined(); }
  at::Tensor value(const at::Tensor& like) const {
    if (whole.defined()) return f32_beside(whole, like);
    if (!core.defined()) return at::mm(f32_beside(a, like), f32_beside(b, like));
    return at::einsum("ijkl,jr,ip->prkl",
                      {f32_beside(core, like), f32_beside(b, like), f32_beside(a, like)});
  }
  std::int64_t rows() const {
    return whole.defined() ? whole.size(0) : core.defined() ? a.size(1) : a.size(0);
  }
  std::int64_t numel() const {
    if (whole.defined()) return whole.numel();
    const std::int64_t matrix = rows() * b.size(1);
    return core.defined() ? matrix * core.numel() / (core.size(0) * core.size(1)) : matrix;
  }
  std::uint64_t bytes() const {
    std::uint64_t total = 0;
    for (const at::Tensor& part : {whole, a, b, core}) total += part.defined() ? part.nbytes() : 0;
    return total;
  }
};

class Kronecker final : public AdditiveChange {
 public:
  Kronecker(Factor one, Factor two, double scale, at::Tensor magnitude)
      : AdditiveChange(scale, std::move(magnitude)), one_(std::move(one)), two_(std::move(two)) {}

  std::uint64_t bytes() const override { return one_.bytes() + two_.bytes() + magnitude_bytes(); }

 protected:
  Status direction_fits(at::IntArrayRef weight) const override {
    if (!weight.empty() && one_.rows() * two_.rows() == weight[0] &&
        one_.numel() * two_.numel() == c10::multiply_integers(weight))
      return {};
    return misfit(weight, fmt::format("{} rows", weight.empty() ? 0 : weight[0]),
                  fmt::format("{} x {} rows, {} x {} numbers", one_.rows(), two_.rows(),
                              one_.numel(), two_.numel()));
  }
  at::Tensor direction(const at::Tensor& weight) const override {
    at::Tensor one = one_.value(weight);
    const at::Tensor two = two_.value(weight).contiguous();  // as at::kron wants it
    while (one.dim() < two.dim()) one = one.unsqueeze(-1);
    return at::kron(one, two);
  }

 private:
  const Factor one_, two_;
};

Result<Factor> factor(const AdapterParts& parts, const std::string& name) {
  if (parts.has(name)) {
    LUNA_ASSIGN_OR_RETURN(at::Tensor whole, parts.need(name, 2));
    return Factor{std::move(whole), {}, {}, {}};
  }
  LUNA_ASSIGN_OR_RETURN(at::Tensor a, parts.need(name + "_a", 2));
  LUNA_ASSIGN_OR_RETURN(at::Tensor b, parts.need(name + "_b", 2));
  at::Tensor core = name == "lokr_w2" ? parts.find("lokr_t2") : at::Tensor();
  const bool together =
      core.defined() ? core.dim() == 4 && core.size(0) == a.size(0) && core.size(1) == b.size(0)
                     : a.size(1) == b.size(0);
  if (!together || a.dim() != 2 || b.dim() != 2) {
    return parts.wrong("the parts of '" + name + "' do not belong together");
  }
  return Factor{{}, std::move(a), std::move(b), std::move(core)};
}

}  // namespace

Result<WeightChangePtr> make_kronecker(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(Factor one, factor(parts, "lokr_w1"));
  LUNA_ASSIGN_OR_RETURN(Factor two, factor(parts, "lokr_w2"));
  // Alpha is meant for a rank; two whole factors have none. Of two ranks the second one counts.
  double scale = 1;
  if (two.is_product()) {
    LUNA_ASSIGN_OR_RETURN(scale, parts.alpha_over(two.b.size(0)));
  } else if (one.is_product()) {
    LUNA_ASSIGN_OR_RETURN(scale, parts.alpha_over(one.b.size(0)));
  }
  return WeightChangePtr(
      std::make_shared<Kronecker>(std::move(one), std::move(two), scale, parts.find("dora_scale")));
}

}  // namespace luna::worker
