// Writes a checkpoint with random weights in SD1.5's or SDXL's single-file layout, in shards or as
// a diffusers folder: for demos, tests and benchmarks.
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "tests/support/several_files.h"
#include "tests/support/tiny_sd15.h"

int main(int argc, char** argv) {
  using luna::support::TinySd15Options;
  CLI::App app{"Writes a checkpoint with random weights in SD1.5's or SDXL's layout."};
  std::string path, size = "tiny", salt, layout = "file", variant;
  bool half = false, inpaint = false;
  app.add_option("file", path, "The .safetensors file, index or folder to write")->required();
  app.add_option("--size", size,
                 "tiny (a few MB), full-depth (SD1.5's depth, small widths), full-width (what "
                 "ComfyUI's own loader accepts), sdxl (tiny, with two text encoders)")
      ->check(CLI::IsMember({"tiny", "full-depth", "full-width", "sdxl"}));
  app.add_option("--layout", layout,
                 "file (a .safetensors file), shards (three, and FILE, a .safetensors.index.json), "
                 "diffusers (FILE is a folder)")
      ->check(CLI::IsMember({"file", "shards", "diffusers"}));
  app.add_option("--salt", salt, "Another salt makes other weights");
  app.add_option("--variant", variant,
                 "Marks the UNet as one of v-prediction (v; v-zsnr: with zero terminal SNR) or of "
                 "EDM noise (edm: Playground 2.5, edm-v); SDXL only")
      ->check(CLI::IsMember({"v", "v-zsnr", "edm", "edm-v"}));
  app.add_flag("--inpaint", inpaint, "A UNet of 9 input channels");
  app.add_flag("--fp16", half, "Store in half precision");
  CLI11_PARSE(app, argc, argv);

  TinySd15Options options = size == "full-width"   ? TinySd15Options::full_width()
                            : size == "full-depth" ? TinySd15Options::full_depth()
                            : size == "sdxl"       ? TinySd15Options::sdxl()
                                                   : TinySd15Options();
  options.unet_salt = options.text_salt = options.vae_salt = salt;
  options.unet_variant = variant;
  options.inpaint = inpaint;
  if (half) options.dtype = options.text_dtype = luna::DType::kF16;
  try {
    if (layout == "shards") luna::support::write_tiny_shards(path, options, 3);
    if (layout == "diffusers") luna::support::write_diffusers_folder(path, options);
    if (layout == "file") luna::support::write_tiny_sd15(path, options);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "luna-make-checkpoint: %s: %s\n", path.c_str(), failure.what());
    return 1;
  }
  return 0;
}
