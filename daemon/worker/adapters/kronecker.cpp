#include "daemon/worker/adapters/factor.h"

namespace luna::worker {
namespace {

/// w1 or w2: whole, or a product.
struct Side {
  at::Tensor whole;
  Factor product;

  bool is_whole() const { return whole.defined(); }
  at::Tensor value(const at::Tensor& like) const {
    return is_whole() ? f32_beside(whole, like) : product.product(like);
  }
  std::int64_t rows() const { return is_whole() ? whole.size(0) : product.rows(); }
  std::int64_t numel() const { return is_whole() ? whole.numel() : product.numel(); }
  std::uint64_t bytes() const { return is_whole() ? whole.nbytes() : product.bytes(); }
};

class Kronecker final : public AdditiveChange {
 public:
  Kronecker(Side one, Side two, double scale, at::Tensor magnitude)
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
  const Side one_, two_;
};

Result<Side> side(const AdapterParts& parts, const std::string& name, const std::string& core) {
  Side side;
  if (parts.has(name)) {
    LUNA_ASSIGN_OR_RETURN(side.whole, parts.need(name, 2));
  } else {
    LUNA_ASSIGN_OR_RETURN(side.product, Factor::from(parts, name, core));
  }
  return side;
}

}  // namespace

Result<WeightChangePtr> make_kronecker(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(Side one, side(parts, "lokr_w1", ""));
  LUNA_ASSIGN_OR_RETURN(Side two, side(parts, "lokr_w2", "lokr_t2"));
  // Alpha is meant for a rank; two whole factors have none. Of two ranks the second one counts.
  double scale = parts.scale.value_or(1);
  if (!two.is_whole() || !one.is_whole()) {
    const Factor& product = two.is_whole() ? one.product : two.product;
    LUNA_ASSIGN_OR_RETURN(scale, parts.alpha_over(product.rank()));
  }
  return WeightChangePtr(
      std::make_shared<Kronecker>(std::move(one), std::move(two), scale, parts.find("dora_scale")));
}

}  // namespace luna::worker
