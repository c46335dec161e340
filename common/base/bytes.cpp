#include "common/base/bytes.h"

namespace luna {
namespace {

class StringBytes final : public Bytes {
 public:
  explicit StringBytes(std::string data) : data_(std::move(data)) {}
  std::span<const std::byte> view() const override { return std::as_bytes(std::span(data_)); }

 private:
  std::string data_;
};

}  // namespace

BytesPtr bytes_from(std::string data) { return std::make_shared<StringBytes>(std::move(data)); }

BytesPtr bytes_copy_of(std::span<const std::byte> data) {
  return bytes_from(std::string(reinterpret_cast<const char*>(data.data()), data.size()));
}

}  // namespace luna
