#include "daemon/worker/sampling/step_maths.h"

#include <cmath>

#include <gtest/gtest.h>

namespace luna::worker {
namespace {

/// Sigmas from 0.0005 to 80, evenly in log sigma.
at::Tensor many_sigmas() { return at::linspace(std::log(5e-4), std::log(80.0), 4096).exp(); }

TEST(HalfLogSnr, HasTheBitsThatATensorOfAllSigmasWouldHave) {
  const auto eps = make_eps_sampling();
  const at::Tensor sigmas = many_sigmas(), lambdas = sigmas.log().neg();
  const at::Tensor back = lambdas.neg().exp();
  for (std::int64_t i = 0; i < sigmas.numel(); ++i) {
    const float lambda = lambdas[i].item<float>();
    ASSERT_EQ(half_log_snr(sigmas[i].item<float>(), *eps), lambda) << sigmas[i];
    ASSERT_EQ(sigma_of_half_log_snr(lambda, *eps), back[i].item<float>()) << lambda;
    ASSERT_EQ(exp_of(-lambda), back[i].item<float>());
  }
}

}  // namespace
}  // namespace luna::worker
