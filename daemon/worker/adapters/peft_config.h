#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/local/identify.h"

namespace luna::worker {

/// What PEFT keeps in "adapter_config.json" beside "adapter_model.safetensors" and not among the
/// tensors: the scale of each layer (reference: peft/tuners/lora/layer.py update_layer, and the
/// loha and lokr ones). ComfyUI does not look at it and takes 1.
class PeftConfig {
 public:
  /// nullopt unless `adapter` has that name and the config lies beside it. INVALID_ARGUMENT for a
  /// config that is no such thing; UNIMPLEMENTED, by name, for kinds other than LoRA, LoHa and
  /// LoKr, for adapters that belong to changed base weights (PiSSA and its like), and for patterns
  /// that are more than the end of a path.
  static Result<std::optional<PeftConfig>> beside(const std::string& adapter);
  /// The same from the config's text.
  static Result<PeftConfig> parse(std::string_view json);

  /// Of the layer of this name in the file: alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA.
  double scale(std::string_view layer) const;

 private:
  /// Numbers by the ends of paths; the first that fits counts.
  using Pattern = std::vector<std::pair<std::string, double>>;
  double alpha_ = 0, rank_ = 0;
  bool stabilised_ = false;
  Pattern alphas_, ranks_;
};

/// identify() of an adapter's file, and of the config that read_adapter() would read with it.
Result<FileIdentity> identify_adapter(const std::string& path);

}  // namespace luna::worker
