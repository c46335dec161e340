#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/types/model.h"

namespace luna {

/// Folders of a model root in which a file of a slot is looked for, in order, as ComfyUI's
/// folder_paths names them; then those of files that hold several components.
std::vector<std::string_view> model_folders(Slot slot);

/// What text to picture needs with a UNet of this family ("sd1", "sdxl", "sdxl_refiner"); with any
/// other UNet, CLIP-L and VAE.
std::vector<Slot> slots_of_family(std::string_view family);

/// What of slots_of_family(the UNet's family) none of the components fills. A text encoder of any
/// kind will do where there is no UNet to tell.
std::vector<Slot> empty_slots(const std::vector<ComponentInfo>& components);

/// "clip_g (a file below text_encoders/, clip/, checkpoints/ or diffusers/), vae (...)".
std::string slots_in_words(const std::vector<Slot>& slots);

}  // namespace luna
