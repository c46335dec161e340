#pragma once

#include <map>
#include <string>

#include "common/types/model.h"
#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// How adapter files name the layers of one component: kohya's names (lora_unet_, lora_te_,
/// lora_te1_), with ldm's and with diffusers' paths, LyCORIS', PEFT's, and plain ones with a prefix
/// (reference: comfy/lora.py model_lora_keys_unet, model_lora_keys_clip).
class AdapterNames {
 public:
  /// `component` in its own names. INVALID_ARGUMENT when it is no UNet that can be read.
  static Result<AdapterNames> of(Slot slot, const TensorDirectory& component);

  /// The layer of the component ("input_blocks.1.1.proj_in") that a file's name means; nullptr:
  /// none.
  const std::string* layer(const std::string& name_in_file) const;
  /// Whether a name that means no layer was meant for this kind of component: it begins as such
  /// names do.
  static bool is_meant_for(Slot slot, const std::string& name_in_file);

 private:
  void add(const std::string& name_in_file, const std::string& layer);
  std::map<std::string, std::string, std::less<>> layers_;
};

}  // namespace luna::worker
