#pragma once

#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace luna::worker {

/// The tensors of tests/parity/fixtures/<name>.safetensors (or of the folder LUNA_PARITY_FIXTURES),
/// made by tests/parity/sampling_make_fixtures.py from ComfyUI and torchsde.
class Fixture {
 public:
  explicit Fixture(const std::string& name);
  /// Fails the test's process with the name when there is no such tensor.
  const at::Tensor& operator[](const std::string& name) const;
  std::vector<float> list(const std::string& name) const;
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }

 private:
  std::string file_;
  std::map<std::string, at::Tensor> tensors_;
};

/// Fails unless the table is the recorded one: bit for bit on processors with AVX-512, with which
/// it was recorded, and to one unit in the last place on others, where libtorch's exp and log round
/// some arguments the other way (in ComfyUI too).
void expect_table(const std::vector<float>& table, const std::vector<float>& recorded,
                  const std::string& name);

/// max |a - b| / max |b|: the error of a whole tensor relative to its scale.
double relative_error(const at::Tensor& actual, const at::Tensor& expected);

}  // namespace luna::worker
