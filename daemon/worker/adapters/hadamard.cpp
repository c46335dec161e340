#include "daemon/worker/adapters/adapter_parts.h"

namespace luna::worker {
namespace {

/// One factor of the product: a·b, or with a core t [i, j, kernel...] a and b around it.
struct Factor {
  at::Tensor a, b, core;

  std::int64_t numel() const {
    if (!core.defined()) return a.size(0) * b.size(1);
    return a.size(1) * b.size(1) * core.numel() / (core.size(0) * core.size(1));
  }
  std::int64_t rows() const { return core.defined() ? a.size(1) : a.size(0); }
  at::Tensor product(const at::Tensor& like) const {
    if (!core.defined()) return at::mm(f32_beside(a, like), f32_beside(b, like));
    return at::einsum("ijkl,jr,ip->prkl",
                      {f32_beside(core, like), f32_beside(b, like), f32_beside(a, like)});
  }
  std::uint64_t bytes() const {
    return a.nbytes() + b.nbytes() + (core.defined() ? core.nbytes() : 0);
  }
};

class Hadamard final : public AdditiveChange {
 public:
  Hadamard(Factor one, Factor two, double scale, at::Tensor magnitude)
      : AdditiveChange(scale, std::move(magnitude)), one_(std::move(one)), two_(std::move(two)) {}

  std::uint64_t bytes() const override { return one_.bytes() + two_.bytes() + magnitude_bytes(); }

 protected:
  Status direction_fits(at::IntArrayRef weight) const override {
    if (!weight.empty() && one_.rows() == weight[0] &&
        one_.numel() == c10::multiply_integers(weight))
      return {};
    return misfit(weight, fmt::format("{} rows", weight.empty() ? 0 : weight[0]),
                  fmt::format("{} rows and {} numbers", one_.rows(), one_.numel()));
  }
  at::Tensor direction(const at::Tensor& weight) const override {
    return one_.product(weight) * two_.product(weight);
  }

 private:
  const Factor one_, two_;
};

Result<Factor> factor(const AdapterParts& parts, const std::string& number) {
  LUNA_ASSIGN_OR_RETURN(at::Tensor a, parts.need("hada_w" + number + "_a", 2));
  LUNA_ASSIGN_OR_RETURN(at::Tensor b, parts.need("hada_w" + number + "_b", 2));
  at::Tensor core = parts.find("hada_t" + number);
  const bool together =
      core.defined() ? core.dim() == 4 && core.size(0) == a.size(0) && core.size(1) == b.size(0)
                     : a.size(1) == b.size(0);
  if (!together || a.dim() != 2 || b.dim() != 2) {
    return parts.wrong("the parts of 'hada_w" + number + "' do not belong together");
  }
  return Factor{std::move(a), std::move(b), std::move(core)};
}

}  // namespace

Result<WeightChangePtr> make_hadamard(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(Factor one, factor(parts, "1"));
  LUNA_ASSIGN_OR_RETURN(Factor two, factor(parts, "2"));
  if (one.rows() != two.rows() || one.numel() != two.numel()) {
    return parts.wrong(
        fmt::format("the two factors have {} and {} numbers", one.numel(), two.numel()));
  }
  LUNA_ASSIGN_OR_RETURN(const double scale, parts.alpha_over(one.b.size(0)));
  return WeightChangePtr(
      std::make_shared<Hadamard>(std::move(one), std::move(two), scale, parts.find("dora_scale")));
}

}  // namespace luna::worker
