#pragma once

#include <map>
#include <string>

#include "common/types/model.h"
#include "daemon/worker/weights/tensor_directory.h"

namespace luna::worker {

/// How adapter files name the layers of one component: kohya's names (lora_unet_, lora_te_,
/// lora_te1_, lora_te2_), with ldm's and with diffusers' paths, LyCORIS', PEFT's, and plain ones
/// with a prefix (reference: comfy/lora.py model_lora_keys_unet, model_lora_keys_clip); of text
/// encoders also without "text_model.", as diffusers writes them with transformers 5.
class AdapterNames {
 public:
  /// `component` in its own names. INVALID_ARGUMENT when it is no UNet that can be read.
  static Result<AdapterNames> of(Slot slot, const TensorDirectory& component);

  /// A layer of the component ("input_blocks.1.1.proj_in"), or one of `parts` equal parts of its
  /// rows: of query, key and value in one matrix.
  struct Place {
    std::string layer;
    int part = 0, parts = 1;
    bool transposed =
        false;  ///< open_clip's "text_projection": `layer` is the tensor, the other way
    bool operator==(const Place&) const = default;
  };
  /// What a file's name means; nullptr: nothing here.
  const Place* find(const std::string& name_in_file) const;
  /// Whether a name that means no layer was meant for this kind of component: it begins as such
  /// names do.
  static bool is_meant_for(Slot slot, const std::string& name_in_file);

 private:
  void add(const std::string& name_in_file, const Place& place);
  void add_unet_layer(const std::string& layer, const std::string& diffusers_path);
  void add_text_layer(Slot slot, const std::string& path, const Place& place);
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace luna::worker
