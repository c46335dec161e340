#include "tests/unit/daemon/worker/sampling/fixture.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include <ATen/Version.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "common/base/status.h"

namespace luna::worker {

Fixture::Fixture(const std::string& name) {
  const char* folder = std::getenv("LUNA_PARITY_FIXTURES");
  file_ = (folder != nullptr ? std::string(folder) : LUNA_SOURCE_DIR "/tests/parity/fixtures") +
          "/" + name + ".safetensors";
  std::ifstream in(file_, std::ios::binary);
  if (!in) die("cannot open " + file_);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  const std::size_t data = sizeof header_size + header_size;
  const auto header = nlohmann::json::parse(bytes.begin() + sizeof header_size,
                                            bytes.begin() + static_cast<std::ptrdiff_t>(data));
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") continue;
    const auto shape = entry["shape"].get<std::vector<std::int64_t>>();
    at::Tensor tensor = at::empty(shape, entry["dtype"] == "F64" ? at::kDouble : at::kFloat);
    const auto begin = entry["data_offsets"][0].get<std::size_t>();
    if (tensor.numel() > 0) {
      std::memcpy(tensor.mutable_data_ptr(), bytes.data() + data + begin, tensor.nbytes());
    }
    tensors_.emplace(key, std::move(tensor));
  }
}

const at::Tensor& Fixture::operator[](const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) die("no tensor " + name + " in " + file_);
  return found->second;
}

std::vector<float> Fixture::list(const std::string& name) const {
  const at::Tensor values = (*this)[name].contiguous();
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

void expect_table(const std::vector<float>& table, const std::vector<float>& recorded,
                  const std::string& name) {
  if (at::get_cpu_capability() == "AVX512") {
    EXPECT_EQ(table, recorded) << name;
    return;
  }
  ASSERT_EQ(table.size(), recorded.size()) << name;
  for (std::size_t i = 0; i < table.size(); ++i) {
    EXPECT_GE(table[i], std::nextafter(recorded[i], 0.0F)) << name << " " << i;
    EXPECT_LE(table[i], std::nextafter(recorded[i], HUGE_VALF)) << name << " " << i;
  }
}

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  const double scale = std::max(expected.abs().max().item<double>(), 1e-30);
  return (actual - expected).abs().max().item<double>() / scale;
}

}  // namespace luna::worker
