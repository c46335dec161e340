#pragma once

#include <filesystem>
#include <string>

#include "tests/support/several_files.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_sd15.h"

namespace luna::support {

/// A temporary folder whose models/ is a root in ComfyUI's layout, filled with small random models.
class ModelFolder {
 public:
  std::filesystem::path path() const { return dir_.path(); }
  std::filesystem::path models() const { return path() / "models"; }

  /// checkpoints/<name>; other seeds, other weights. Equal `vae_seed`s bake in the same VAE.
  std::string add_checkpoint(const std::string& name, int seed, int vae_seed = -1) {
    TinySd15Options options;
    options.text_dtype = DType::kF16;
    options.unet_salt = options.text_salt = std::to_string(seed);
    options.vae_salt = std::to_string(vae_seed < 0 ? seed : vae_seed);
    return write("checkpoints", name, options);
  }

  /// vae/<name>: a VAE alone.
  std::string add_vae(const std::string& name, int seed) {
    TinySd15Options options = alone(seed);
    options.with_vae = true;
    return write("vae", name, options);
  }

  /// diffusion_models/<name>: a UNet alone.
  std::string add_unet(const std::string& name, int seed) {
    TinySd15Options options = alone(seed);
    options.with_unet = true;
    return write("diffusion_models", name, options);
  }

  /// diffusion_models/<name>: an SDXL's UNet alone.
  std::string add_sdxl_unet(const std::string& name, int seed) {
    TinySd15Options options = TinySd15Options::sdxl();
    options.unet_salt = std::to_string(seed);
    options.with_text = options.with_vae = false;
    options.bare_names = true;
    return write("diffusion_models", name, options);
  }

  /// text_encoders/<name>: a CLIP-G alone, in transformers' names; small, so its metadata tells it.
  std::string add_clip_g(const std::string& name, int seed) {
    TinySd15Options options = TinySd15Options::sdxl();
    options.text_dtype = DType::kF16;
    options.text_salt = std::to_string(seed);
    const std::string file = (models() / "text_encoders" / name).string();
    write_tensors(file, transformers_clip_g_tensors(options),
                  {{"luna.clip_g.heads", std::to_string(options.clip_g_width / 64)}});
    return file;
  }

  /// text_encoders/<name>: a text encoder alone.
  std::string add_text_encoder(const std::string& name, int seed) {
    TinySd15Options options = alone(seed);
    options.with_text = true;
    options.text_dtype = DType::kF16;
    return write("text_encoders", name, options);
  }

  std::string write(const std::string& folder, const std::string& name,
                    const TinySd15Options& options) {
    std::filesystem::create_directories(models() / folder);
    const std::string file = (models() / folder / name).string();
    write_tiny_sd15(file, options);
    return file;
  }

 private:
  /// No component yet, and the bare names of a file that holds a single one.
  static TinySd15Options alone(int seed) {
    TinySd15Options options;
    options.unet_salt = options.text_salt = options.vae_salt = std::to_string(seed);
    options.with_unet = options.with_text = options.with_vae = false;
    options.bare_names = true;
    return options;
  }

  TempDir dir_;
};

}  // namespace luna::support
