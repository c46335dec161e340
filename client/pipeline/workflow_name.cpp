#include "client/pipeline/workflow_name.h"

namespace luna::client {
namespace {

/// 64-bit FNV-1a over fields that are each ended by a zero byte.
class Fingerprint {
 public:
  void add(std::string_view field) {
    for (const char c : field) mix(static_cast<unsigned char>(c));
    mix(0);
  }
  void add(std::string_view place, const ModelRef& model) {
    add(place);
    add(model.path);
    add(precision_name(model.precision));
  }
  std::uint64_t value() const { return value_; }

 private:
  void mix(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3ull; }
  std::uint64_t value_ = 0xcbf29ce484222325ull;
};

}  // namespace

std::string workflow_name(const RequestedModels& models) {
  Fingerprint fingerprint;
  if (models.checkpoint) fingerprint.add("checkpoint", *models.checkpoint);
  for (const auto& [slot, model] : models.slots) fingerprint.add(slot_name(slot), model);
  for (const auto& [slot, precision] : models.slot_precision) {
    fingerprint.add("precision");
    fingerprint.add(slot_name(slot));
    fingerprint.add(precision_name(precision));
  }
  return fmt::format("auto-{:016x}", fingerprint.value());
}

}  // namespace luna::client
