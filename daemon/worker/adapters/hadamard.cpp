#include "daemon/worker/adapters/factor.h"

namespace luna::worker {
namespace {

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

}  // namespace

Result<WeightChangePtr> make_hadamard(const AdapterParts& parts) {
  LUNA_ASSIGN_OR_RETURN(Factor one, Factor::from(parts, "hada_w1", "hada_t1"));
  LUNA_ASSIGN_OR_RETURN(Factor two, Factor::from(parts, "hada_w2", "hada_t2"));
  if (one.rows() != two.rows() || one.numel() != two.numel()) {
    return parts.wrong(
        fmt::format("the two factors have {} and {} numbers", one.numel(), two.numel()));
  }
  LUNA_ASSIGN_OR_RETURN(const double scale, parts.alpha_over(one.rank()));
  return WeightChangePtr(
      std::make_shared<Hadamard>(std::move(one), std::move(two), scale, parts.find("dora_scale")));
}

}  // namespace luna::worker
