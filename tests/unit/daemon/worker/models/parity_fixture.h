#pragma once

#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "common/types/job.h"
#include "daemon/worker/models/registry.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::worker {

/// A recorded answer file of tests/parity (models_make_fixtures.py tells how each was made).
class ParityFixture {
 public:
  explicit ParityFixture(const std::string& name);

  const at::Tensor& tensor(const std::string& name) const;
  /// ||found - recorded|| / ||recorded|| over the values that were recorded.
  double error_of(const std::string& name, const at::Tensor& found) const;
  /// "<name>.ids" and "<name>.weights" as a tokenizer gives them.
  std::vector<std::vector<Token>> chunks(const std::string& name) const;

 private:
  std::shared_ptr<const WeightStore> store_;
};

/// The made-up input that the fixture's maker used under the same name.
at::Tensor made_up(const std::string& name, std::vector<std::int64_t> shape, float scale = 1.0f);

/// A tiny model file, written, detected and loaded as a real one would be.
class TinyModel {
 public:
  explicit TinyModel(const support::TinySd15Options& options);

  const std::string& path() const { return path_; }
  const std::vector<DetectedComponent>& components() const { return components_; }
  std::shared_ptr<const WeightStore> weights(Slot slot, at::ScalarType storage = at::kFloat) const;
  std::shared_ptr<const DenoisingModel> unet(at::ScalarType compute = at::kFloat) const;
  std::shared_ptr<const TextEncoder> text(at::ScalarType storage = at::kFloat) const;
  std::shared_ptr<const Vae> vae(at::ScalarType compute = at::kFloat) const;

 private:
  const DetectedComponent& component(Slot slot) const;
  Component build(Slot slot, at::ScalarType storage, at::ScalarType compute) const;

  support::TempDir folder_;
  std::string path_;
  std::vector<DetectedComponent> components_;
};

/// The two sizes that the fixtures were made with, and SD1.5's alone in half precision.
support::TinySd15Options size_a();
support::TinySd15Options size_b();

/// Relative error of two tensors in f64.
double relative(const at::Tensor& found, const at::Tensor& expected);

}  // namespace luna::worker
