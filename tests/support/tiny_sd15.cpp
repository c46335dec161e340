#include "tests/support/tiny_sd15.h"

#include <stdexcept>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"

namespace luna::support {
namespace {

using Shape = std::vector<std::int64_t>;
constexpr int kVocabulary = 49408;
constexpr int kPositions = 77;
constexpr int kSizes = 6, kSizeWidth = 256;  // of SDXL's vector conditioning

/// Collects the tensors of one component under a moving prefix.
class Layout {
 public:
  explicit Layout(DType dtype) : dtype_(dtype) {}

  void tensor(const std::string& name, Shape shape) {
    tensors_.push_back({name, {dtype_, std::move(shape)}});
  }
  void norm(const std::string& name, int channels) {
    tensor(name + ".weight", {channels});
    tensor(name + ".bias", {channels});
  }
  void linear(const std::string& name, int in, int out, bool bias = true) {
    tensor(name + ".weight", {out, in});
    if (bias) tensor(name + ".bias", {out});
  }
  void conv(const std::string& name, int in, int out, int size) {
    tensor(name + ".weight", {out, in, size, size});
    tensor(name + ".bias", {out});
  }
  std::vector<NamedTensor> take() && { return std::move(tensors_); }

 private:
  DType dtype_;
  std::vector<NamedTensor> tensors_;
};

std::string at(const std::string& prefix, std::size_t index) {
  return prefix + "." + std::to_string(index);
}

void unet_res_block(Layout& layout, const std::string& name, int in, int out, int embedding) {
  layout.norm(name + ".in_layers.0", in);
  layout.conv(name + ".in_layers.2", in, out, 3);
  layout.linear(name + ".emb_layers.1", embedding, out);
  layout.norm(name + ".out_layers.0", out);
  layout.conv(name + ".out_layers.3", out, out, 3);
  if (in != out) layout.conv(name + ".skip_connection", in, out, 1);
}

void unet_attention(Layout& layout, const std::string& name, int width, int context) {
  layout.linear(name + ".to_q", width, width, false);
  layout.linear(name + ".to_k", context, width, false);
  layout.linear(name + ".to_v", context, width, false);
  layout.linear(name + ".to_out.0", width, width);
}

void unet_transformer(Layout& layout, const std::string& name, int width, int context, int depth,
                      bool matrices) {
  const auto projection = [&](const char* which) {
    matrices ? layout.linear(name + which, width, width)
             : layout.conv(name + which, width, width, 1);
  };
  layout.norm(name + ".norm", width);
  projection(".proj_in");
  for (int i = 0; i < depth; ++i) {
    const std::string block = at(name + ".transformer_blocks", static_cast<std::size_t>(i));
    unet_attention(layout, block + ".attn1", width, width);
    layout.linear(block + ".ff.net.0.proj", width, 8 * width);
    layout.linear(block + ".ff.net.2", 4 * width, width);
    unet_attention(layout, block + ".attn2", width, context);
    layout.norm(block + ".norm1", width);
    layout.norm(block + ".norm2", width);
    layout.norm(block + ".norm3", width);
  }
  projection(".proj_out");
}

void vae_res_block(Layout& layout, const std::string& name, int in, int out) {
  layout.norm(name + ".norm1", in);
  layout.conv(name + ".conv1", in, out, 3);
  layout.norm(name + ".norm2", out);
  layout.conv(name + ".conv2", out, out, 3);
  if (in != out) layout.conv(name + ".nin_shortcut", in, out, 1);
}

void vae_middle(Layout& layout, const std::string& name, int width) {
  vae_res_block(layout, name + ".block_1", width, width);
  layout.norm(name + ".attn_1.norm", width);
  for (const char* projection : {".attn_1.q", ".attn_1.k", ".attn_1.v", ".attn_1.proj_out"})
    layout.conv(name + projection, width, width, 1);
  vae_res_block(layout, name + ".block_2", width, width);
}

void add_component(std::vector<FilledTensor>& all, const std::vector<NamedTensor>& tensors,
                   const std::string& prefix, const std::string& salt) {
  for (const NamedTensor& tensor : tensors) {
    all.push_back({prefix + tensor.name, tensor.spec,
                   [key = salt + tensor.name, shape = tensor.spec.shape](std::span<float> out) {
                     fill_weight(key, shape, out);
                   }});
  }
}

/// Named as in whole checkpoints, where they stand without the UNet's prefix.
void add_variant_markers(std::vector<FilledTensor>& all, const std::string& variant) {
  const auto add = [&](const char* name, std::vector<std::int64_t> shape, float value) {
    all.push_back({name, {DType::kF32, std::move(shape)}, [value](std::span<float> out) {
                     std::ranges::fill(out, value);
                   }});
  };
  const auto nothing = [&](const char* name) { add(name, {0}, 0); };
  if (variant == "v" || variant == "v-zsnr") nothing("v_pred");
  if (variant == "v-zsnr") nothing("ztsnr");
  if (variant == "edm") {
    add("edm_mean", {1, 4, 1, 1}, 0);
    add("edm_std", {1, 4, 1, 1}, 1);
  }
  if (variant == "edm-v") {
    add("edm_vpred.sigma_max", {}, 80.0F);
    add("edm_vpred.sigma_min", {}, 0.01F);
  }
}

}  // namespace

TinySd15Options TinySd15Options::full_depth() {
  TinySd15Options options;
  options.unet_channel_mult = {1, 2, 4, 4};
  options.unet_res_blocks = {2, 2, 2, 2};
  options.text_layers = 12;
  options.vae_channel_mult = {1, 2, 4, 4};
  options.vae_res_blocks = 2;
  return options;
}

TinySd15Options TinySd15Options::full_width() {
  TinySd15Options options = full_depth();
  options.unet_channels = 320;
  options.unet_res_blocks = {1, 1, 1, 1};
  options.context_width = 768;
  options.vae_channels = 128;
  options.text_dtype = DType::kF16;
  options.dtype = DType::kF16;
  return options;
}

TinySd15Options TinySd15Options::sdxl() {
  TinySd15Options options;
  options.unet_channels = 64;
  options.unet_channel_mult = {1, 2};
  options.unet_res_blocks = {1, 1};
  options.unet_transformer_depth = {0, 2};
  options.unet_middle_depth = 2;
  options.text_layers = 3;
  options.clip_g_width = 128;
  return options;
}

std::vector<NamedTensor> tiny_unet_tensors(const TinySd15Options& options) {
  const std::size_t levels = options.unet_channel_mult.size();
  if (options.unet_res_blocks.size() != levels || options.unet_transformer_depth.size() != levels)
    throw std::runtime_error("the UNet's lists need one entry a level each");
  const int base = options.unet_channels, embedding = 4 * base, context = options.unet_context();
  const bool sdxl = options.clip_g_width > 0;
  Layout layout(options.dtype);
  layout.linear("time_embed.0", base, embedding);
  layout.linear("time_embed.2", embedding, embedding);
  if (sdxl) {
    layout.linear("label_emb.0.0", options.clip_g_width + kSizes * kSizeWidth, embedding);
    layout.linear("label_emb.0.2", embedding, embedding);
  }

  std::vector<int> skips = {base};
  std::size_t index = 0;
  int width = base;
  layout.conv("input_blocks.0.0", options.inpaint ? 9 : 4, base, 3);
  for (std::size_t level = 0; level < levels; ++level) {
    const int out = base * options.unet_channel_mult[level];
    for (int block = 0; block < options.unet_res_blocks[level]; ++block) {
      const std::string name = at("input_blocks", ++index);
      unet_res_block(layout, name + ".0", width, out, embedding);
      width = out;
      if (const int depth = options.unet_transformer_depth[level]; depth > 0)
        unet_transformer(layout, name + ".1", width, context, depth, sdxl);
      skips.push_back(width);
    }
    if (level + 1 < levels) {
      layout.conv(at("input_blocks", ++index) + ".0.op", width, width, 3);
      skips.push_back(width);
    }
  }

  unet_res_block(layout, "middle_block.0", width, width, embedding);
  unet_transformer(layout, "middle_block.1", width, context, options.unet_middle_depth, sdxl);
  unet_res_block(layout, "middle_block.2", width, width, embedding);

  index = 0;
  for (std::size_t level = levels; level-- > 0;) {
    const int out = base * options.unet_channel_mult[level];
    for (int block = 0; block <= options.unet_res_blocks[level]; ++block) {
      const std::string name = at("output_blocks", index++);
      unet_res_block(layout, name + ".0", width + skips.back(), out, embedding);
      skips.pop_back();
      width = out;
      std::size_t next = 1;
      if (const int depth = options.unet_transformer_depth[level]; depth > 0)
        unet_transformer(layout, at(name, next++), width, context, depth, sdxl);
      if (level > 0 && block == options.unet_res_blocks[level])
        layout.conv(at(name, next) + ".conv", width, width, 3);
    }
  }
  layout.norm("out.0", width);
  layout.conv("out.2", width, 4, 3);
  return std::move(layout).take();
}

std::vector<NamedTensor> tiny_text_tensors(const TinySd15Options& options) {
  const int width = options.context_width;
  Layout layout(options.text_dtype);
  layout.tensor("text_model.embeddings.token_embedding.weight", {kVocabulary, width});
  layout.tensor("text_model.embeddings.position_embedding.weight", {kPositions, width});
  for (int i = 0; i < options.text_layers; ++i) {
    const std::string layer = at("text_model.encoder.layers", static_cast<std::size_t>(i));
    for (const char* projection :
         {".self_attn.k_proj", ".self_attn.v_proj", ".self_attn.q_proj", ".self_attn.out_proj"})
      layout.linear(layer + projection, width, width);
    layout.norm(layer + ".layer_norm1", width);
    layout.linear(layer + ".mlp.fc1", width, 4 * width);
    layout.linear(layer + ".mlp.fc2", 4 * width, width);
    layout.norm(layer + ".layer_norm2", width);
  }
  layout.norm("text_model.final_layer_norm", width);
  return std::move(layout).take();
}

std::vector<NamedTensor> tiny_clip_g_tensors(const TinySd15Options& options) {
  const int width = options.clip_g_width;
  Layout layout(options.text_dtype);
  layout.tensor("positional_embedding", {kPositions, width});
  layout.tensor("text_projection", {width, width});
  layout.tensor("token_embedding.weight", {kVocabulary, width});
  for (int i = 0; i < options.clip_g_layers; ++i) {
    const std::string block = at("transformer.resblocks", static_cast<std::size_t>(i));
    layout.tensor(block + ".attn.in_proj_weight", {3 * width, width});
    layout.tensor(block + ".attn.in_proj_bias", {3 * width});
    layout.linear(block + ".attn.out_proj", width, width);
    layout.norm(block + ".ln_1", width);
    layout.norm(block + ".ln_2", width);
    layout.linear(block + ".mlp.c_fc", width, 4 * width);
    layout.linear(block + ".mlp.c_proj", 4 * width, width);
  }
  layout.norm("ln_final", width);
  return std::move(layout).take();
}

std::vector<NamedTensor> tiny_vae_tensors(const TinySd15Options& options) {
  const int base = options.vae_channels;
  const std::size_t levels = options.vae_channel_mult.size();
  const int top = base * options.vae_channel_mult.back();
  Layout layout(options.dtype);

  layout.conv("encoder.conv_in", 3, base, 3);
  int width = base;
  for (std::size_t level = 0; level < levels; ++level) {
    const std::string name = at("encoder.down", level);
    const int out = base * options.vae_channel_mult[level];
    for (int block = 0; block < options.vae_res_blocks; ++block) {
      vae_res_block(layout, at(name + ".block", static_cast<std::size_t>(block)), width, out);
      width = out;
    }
    if (level + 1 < levels) layout.conv(name + ".downsample.conv", width, width, 3);
  }
  vae_middle(layout, "encoder.mid", top);
  layout.norm("encoder.norm_out", top);
  layout.conv("encoder.conv_out", top, 8, 3);

  layout.conv("decoder.conv_in", 4, top, 3);
  vae_middle(layout, "decoder.mid", top);
  width = top;
  for (std::size_t level = levels; level-- > 0;) {
    const std::string name = at("decoder.up", level);
    const int out = base * options.vae_channel_mult[level];
    for (int block = 0; block <= options.vae_res_blocks; ++block) {
      vae_res_block(layout, at(name + ".block", static_cast<std::size_t>(block)), width, out);
      width = out;
    }
    if (level > 0) layout.conv(name + ".upsample.conv", width, width, 3);
  }
  layout.norm("decoder.norm_out", width);
  layout.conv("decoder.conv_out", width, 3, 3);

  layout.conv("quant_conv", 8, 8, 1);
  layout.conv("post_quant_conv", 4, 4, 1);
  return std::move(layout).take();
}

std::map<std::string, std::string> tiny_checkpoint_metadata(const TinySd15Options& options) {
  std::map<std::string, std::string> metadata;
  if (options.with_text && options.text_heads != 0)
    metadata["luna.clip_l.heads"] = std::to_string(options.text_heads);
  if (options.with_vae && options.vae_groups != 32)
    metadata["luna.vae.groups"] = std::to_string(options.vae_groups);
  return metadata;
}

std::vector<FilledTensor> tiny_checkpoint_tensors(const TinySd15Options& options) {
  std::vector<FilledTensor> all;
  const auto prefix = [&](const char* name) { return std::string(options.bare_names ? "" : name); };
  if (options.with_text)
    add_component(all, tiny_text_tensors(options),
                  prefix(options.clip_g_width > 0 ? "conditioner.embedders.0.transformer."
                                                  : "cond_stage_model.transformer."),
                  options.text_salt);
  if (options.with_text && options.clip_g_width > 0)
    add_component(all, tiny_clip_g_tensors(options), "conditioner.embedders.1.model.",
                  options.text_salt);
  if (options.with_vae)
    add_component(all, tiny_vae_tensors(options), prefix("first_stage_model."), options.vae_salt);
  if (options.with_unet)
    add_component(all, tiny_unet_tensors(options), prefix("model.diffusion_model."),
                  options.unet_salt);
  if (options.with_unet) add_variant_markers(all, options.unet_variant);
  return all;
}

void write_tiny_sd15(const std::string& path, const TinySd15Options& options) {
  SafetensorsWriter writer;
  for (const auto& [key, value] : tiny_checkpoint_metadata(options))
    writer.set_metadata(key, value);
  for (FilledTensor& tensor : tiny_checkpoint_tensors(options))
    writer.add(std::move(tensor.name), std::move(tensor.spec), std::move(tensor.fill));
  writer.write(path);
}

}  // namespace luna::support
