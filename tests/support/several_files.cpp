#include "tests/support/several_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include <fmt/ranges.h>

#include "tests/support/deterministic.h"
#include "tests/support/safetensors_writer.h"

namespace luna::support {
namespace {

namespace fs = std::filesystem;
using Renames = std::vector<std::pair<std::string, std::string>>;

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream stream(path, std::ios::binary);
  if (!(stream << text)) throw std::runtime_error(path.string() + ": cannot be written");
}

/// The first rename whose first part begins `name` replaces it there.
std::string renamed(const std::string& name, const Renames& renames) {
  for (const auto& [from, to] : renames)
    if (name.starts_with(from)) return to + name.substr(from.size());
  throw std::runtime_error("no name of diffusers' for " + name);
}

std::function<void(std::span<float>)> weights_of(const std::string& key, const TensorSpec& spec) {
  return [key, shape = spec.shape](std::span<float> out) { fill_weight(key, shape, out); };
}

/// The values of `spec` from the `part`-th of three on.
std::function<void(std::span<float>)> third_of(const std::string& key, const TensorSpec& spec,
                                               std::size_t part) {
  return [=](std::span<float> out) {
    std::vector<float> all(static_cast<std::size_t>(spec.numel()));
    fill_weight(key, spec.shape, all);
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(part * out.size()), out.size(),
                out.begin());
  };
}

std::function<void(std::span<float>)> transposed(const std::string& key, const TensorSpec& spec) {
  return [=](std::span<float> out) {
    std::vector<float> all(out.size());
    fill_weight(key, spec.shape, all);
    const auto rows = static_cast<std::size_t>(spec.shape[0]);
    const auto columns = static_cast<std::size_t>(spec.shape[1]);
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t column = 0; column < columns; ++column)
        out[column * rows + row] = all[row * columns + column];
  };
}

void add_res_block(Renames& renames, const std::string& ldm, const std::string& diffusers) {
  for (const auto& [theirs, ours] : Renames{{"in_layers.0.", "norm1."},
                                            {"in_layers.2.", "conv1."},
                                            {"emb_layers.1.", "time_emb_proj."},
                                            {"out_layers.0.", "norm2."},
                                            {"out_layers.3.", "conv2."},
                                            {"skip_connection.", "conv_shortcut."}})
    renames.emplace_back(ldm + theirs, diffusers + ours);
}

Renames unet_renames(const TinySd15Options& options) {
  Renames renames = {{"time_embed.0.", "time_embedding.linear_1."},
                     {"time_embed.2.", "time_embedding.linear_2."},
                     {"label_emb.0.0.", "add_embedding.linear_1."},
                     {"label_emb.0.2.", "add_embedding.linear_2."},
                     {"input_blocks.0.0.", "conv_in."},
                     {"out.0.", "conv_norm_out."},
                     {"out.2.", "conv_out."},
                     {"middle_block.1.", "mid_block.attentions.0."}};
  add_res_block(renames, "middle_block.0.", "mid_block.resnets.0.");
  add_res_block(renames, "middle_block.2.", "mid_block.resnets.1.");
  const std::size_t levels = options.unet_channel_mult.size();
  int down = 0, up = 0;
  for (std::size_t level = 0; level < levels; ++level) {
    for (int i = 0; i < options.unet_res_blocks[level]; ++i) {
      const std::string ldm = fmt::format("input_blocks.{}.", ++down);
      add_res_block(renames, ldm + "0.", fmt::format("down_blocks.{}.resnets.{}.", level, i));
      renames.emplace_back(ldm + "1.", fmt::format("down_blocks.{}.attentions.{}.", level, i));
    }
    if (level + 1 < levels)
      renames.emplace_back(fmt::format("input_blocks.{}.0.op.", ++down),
                           fmt::format("down_blocks.{}.downsamplers.0.conv.", level));
  }
  for (std::size_t block = 0; block < levels; ++block) {
    const std::size_t level = levels - 1 - block;
    const bool attends = options.unet_transformer_depth[level] > 0;
    for (int i = 0; i <= options.unet_res_blocks[level]; ++i) {
      const std::string ldm = fmt::format("output_blocks.{}.", up++);
      add_res_block(renames, ldm + "0.", fmt::format("up_blocks.{}.resnets.{}.", block, i));
      renames.emplace_back(ldm + (attends ? "2.conv." : "1.conv."),
                           fmt::format("up_blocks.{}.upsamplers.0.conv.", block));
      renames.emplace_back(ldm + "1.", fmt::format("up_blocks.{}.attentions.{}.", block, i));
    }
  }
  return renames;
}

Renames vae_renames(const TinySd15Options& options) {
  Renames renames = {{"quant_conv.", "quant_conv."}, {"post_quant_conv.", "post_quant_conv."}};
  for (const std::string half : {"encoder.", "decoder."}) {
    for (const char* end : {"conv_in.", "conv_out."}) renames.emplace_back(half + end, half + end);
    renames.emplace_back(half + "norm_out.", half + "conv_norm_out.");
    renames.emplace_back(half + "mid.block_1.", half + "mid_block.resnets.0.");
    renames.emplace_back(half + "mid.block_2.", half + "mid_block.resnets.1.");
    for (const auto& [theirs, ours] : Renames{{"norm.", "group_norm."},
                                              {"q.", "to_q."},
                                              {"k.", "to_k."},
                                              {"v.", "to_v."},
                                              {"proj_out.", "to_out.0."}})
      renames.emplace_back(half + "mid.attn_1." + theirs, half + "mid_block.attentions.0." + ours);
  }
  const std::size_t levels = options.vae_channel_mult.size();
  for (std::size_t level = 0; level < levels; ++level) {
    const std::string down = fmt::format("encoder.down_blocks.{}.", level);
    const std::string up = fmt::format("decoder.up_blocks.{}.", levels - 1 - level);
    for (int i = 0; i <= options.vae_res_blocks; ++i) {
      for (const auto& [ldm, block] :
           Renames{{fmt::format("encoder.down.{}.block.{}.", level, i), down},
                   {fmt::format("decoder.up.{}.block.{}.", level, i), up}}) {
        renames.emplace_back(ldm + "nin_shortcut.",
                             fmt::format("{}resnets.{}.conv_shortcut.", block, i));
        renames.emplace_back(ldm, fmt::format("{}resnets.{}.", block, i));
      }
    }
    renames.emplace_back(fmt::format("encoder.down.{}.downsample.", level),
                         down + "downsamplers.0.");
    renames.emplace_back(fmt::format("decoder.up.{}.upsample.", level), up + "upsamplers.0.");
  }
  return renames;
}

std::uint64_t bytes_of(const std::vector<FilledTensor>& tensors) {
  std::uint64_t bytes = 0;
  for (const FilledTensor& tensor : tensors) bytes += tensor.spec.byte_size();
  return bytes;
}

/// Shards of about equal size beside `index`, whose name says theirs.
std::vector<std::string> write_shards(const fs::path& index, std::vector<FilledTensor> tensors,
                                      int shards,
                                      const std::map<std::string, std::string>& metadata) {
  const std::string name = index.filename().string();
  const std::string stem = name.substr(0, name.find(".safetensors.index.json"));
  const std::uint64_t total = bytes_of(tensors);
  std::vector<SafetensorsWriter> writers(static_cast<std::size_t>(shards));
  std::vector<std::string> names, map;
  for (int i = 0; i < shards; ++i) {
    names.push_back(fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards));
    for (const auto& [key, value] : metadata)
      writers[static_cast<std::size_t>(i)].set_metadata(key, value);
  }
  std::uint64_t written = 0;
  for (FilledTensor& tensor : tensors) {
    const auto shard =
        static_cast<std::size_t>(written * static_cast<std::uint64_t>(shards) / total);
    map.push_back(fmt::format("\"{}\": \"{}\"", tensor.name, names[shard]));
    written += tensor.spec.byte_size();
    writers[shard].add(std::move(tensor.name), std::move(tensor.spec), std::move(tensor.fill));
  }
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < writers.size(); ++i) {
    paths.push_back((index.parent_path() / names[i]).string());
    writers[i].write(paths.back());
  }
  write_text(index,
             fmt::format("{{\"metadata\": {{\"total_size\": {}}}, \"weight_map\": {{{}}}}}\n",
                         total, fmt::join(map, ", ")));
  return paths;
}

std::string list_of(const std::vector<std::string>& names) {
  return fmt::format("[\"{}\"]", fmt::join(names, "\", \""));
}

std::string clip_config(const char* name, const char* activation, int width, int layers,
                        int heads) {
  return fmt::format(
      R"({{"architectures": ["{}"], "model_type": "clip_text_model", "hidden_act": "{}",)"
      R"( "hidden_size": {}, "intermediate_size": {}, "num_hidden_layers": {},)"
      R"( "num_attention_heads": {}, "projection_dim": {}, "vocab_size": 49408,)"
      R"( "max_position_embeddings": 77, "layer_norm_eps": 1e-05, "bos_token_id": 49406,)"
      R"( "eos_token_id": 49407, "pad_token_id": 1}})",
      name, activation, width, 4 * width, layers, heads, width);
}

}  // namespace

void write_tensors(const std::string& path, std::vector<FilledTensor> tensors,
                   const std::map<std::string, std::string>& metadata) {
  fs::create_directories(fs::path(path).parent_path());
  SafetensorsWriter writer;
  for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
  for (FilledTensor& tensor : tensors)
    writer.add(std::move(tensor.name), std::move(tensor.spec), std::move(tensor.fill));
  writer.write(path);
}

std::vector<std::string> write_tiny_shards(const std::string& path, const TinySd15Options& options,
                                           int shards) {
  return write_shards(path, tiny_checkpoint_tensors(options), shards,
                      tiny_checkpoint_metadata(options));
}

std::vector<FilledTensor> diffusers_unet_tensors(const TinySd15Options& options) {
  const Renames renames = unet_renames(options);
  std::vector<FilledTensor> tensors;
  for (const NamedTensor& tensor : tiny_unet_tensors(options))
    tensors.push_back({renamed(tensor.name, renames), tensor.spec,
                       weights_of(options.unet_salt + tensor.name, tensor.spec)});
  return tensors;
}

std::vector<FilledTensor> diffusers_vae_tensors(const TinySd15Options& options) {
  const Renames renames = vae_renames(options);
  std::vector<FilledTensor> tensors;
  for (const NamedTensor& tensor : tiny_vae_tensors(options)) {
    TensorSpec spec = tensor.spec;
    if (tensor.name.find(".attn_1.") != std::string::npos && spec.shape.size() == 4)
      spec.shape.resize(2);
    tensors.push_back({renamed(tensor.name, renames), std::move(spec),
                       weights_of(options.vae_salt + tensor.name, tensor.spec)});
  }
  return tensors;
}

std::vector<FilledTensor> transformers_clip_l_tensors(const TinySd15Options& options) {
  std::vector<FilledTensor> tensors;
  for (const NamedTensor& tensor : tiny_text_tensors(options))
    tensors.push_back(
        {tensor.name, tensor.spec, weights_of(options.text_salt + tensor.name, tensor.spec)});
  return tensors;
}

std::vector<FilledTensor> transformers_clip_g_tensors(const TinySd15Options& options) {
  Renames renames = {{"positional_embedding", "text_model.embeddings.position_embedding.weight"},
                     {"token_embedding.weight", "text_model.embeddings.token_embedding.weight"},
                     {"ln_final.", "text_model.final_layer_norm."}};
  for (int i = 0; i < options.clip_g_layers; ++i) {
    const std::string block = fmt::format("transformer.resblocks.{}.", i);
    const std::string layer = fmt::format("text_model.encoder.layers.{}.", i);
    for (const auto& [theirs, ours] : Renames{{"attn.out_proj.", "self_attn.out_proj."},
                                              {"ln_1.", "layer_norm1."},
                                              {"ln_2.", "layer_norm2."},
                                              {"mlp.c_fc.", "mlp.fc1."},
                                              {"mlp.c_proj.", "mlp.fc2."}})
      renames.emplace_back(block + theirs, layer + ours);
  }
  std::vector<FilledTensor> tensors;
  for (const NamedTensor& tensor : tiny_clip_g_tensors(options)) {
    const std::string key = options.text_salt + tensor.name;
    const std::size_t fused = tensor.name.find(".attn.in_proj_");
    if (tensor.name == "text_projection") {
      tensors.push_back({"text_projection.weight", tensor.spec, transposed(key, tensor.spec)});
    } else if (fused != std::string::npos) {
      const std::string index =
          tensor.name.substr(22, fused - 22);  // after "transformer.resblocks."
      const std::string end = tensor.name.substr(tensor.name.rfind('_') + 1);
      for (std::size_t part = 0; part < 3; ++part) {
        TensorSpec spec = tensor.spec;
        spec.shape[0] /= 3;
        tensors.push_back({fmt::format("text_model.encoder.layers.{}.self_attn.{}_proj.{}", index,
                                       "qkv"[part], end),
                           spec, third_of(key, tensor.spec, part)});
      }
    } else {
      tensors.push_back({renamed(tensor.name, renames), tensor.spec, weights_of(key, tensor.spec)});
    }
  }
  return tensors;
}

std::string diffusers_unet_config(const TinySd15Options& options) {
  const bool sdxl = options.clip_g_width > 0;
  const std::size_t levels = options.unet_channel_mult.size();
  std::vector<int> widths, heads, depths;
  std::vector<std::string> down, up;
  for (std::size_t level = 0; level < levels; ++level) {
    widths.push_back(options.unet_channels * options.unet_channel_mult[level]);
    heads.push_back(sdxl ? widths.back() / 64 : 8);
    depths.push_back(std::max(1, options.unet_transformer_depth[level]));
    const bool attends = options.unet_transformer_depth[level] > 0;
    down.push_back(attends ? "CrossAttnDownBlock2D" : "DownBlock2D");
    up.insert(up.begin(), attends ? "CrossAttnUpBlock2D" : "UpBlock2D");
  }
  if (depths.back() != options.unet_middle_depth && levels > 1)
    depths.back() = options.unet_middle_depth;
  const std::string vector =
      sdxl ? fmt::format(R"(, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,)"
                         R"( "projection_class_embeddings_input_dim": {})",
                         options.clip_g_width + 6 * 256)
           : "";
  return fmt::format(
      R"({{"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4,)"
      R"( "sample_size": 16, "block_out_channels": [{}], "layers_per_block": [{}],)"
      R"( "down_block_types": {}, "up_block_types": {}, "cross_attention_dim": {},)"
      R"( "attention_head_dim": {}, "transformer_layers_per_block": [{}], "norm_num_groups": 32,)"
      R"( "use_linear_projection": {}{}}})",
      fmt::join(widths, ", "), fmt::join(options.unet_res_blocks, ", "), list_of(down), list_of(up),
      options.unet_context(), sdxl ? fmt::format("[{}]", fmt::join(heads, ", ")) : "8",
      fmt::join(depths, ", "), sdxl, vector);
}

std::string diffusers_vae_config(const TinySd15Options& options) {
  std::vector<int> widths;
  for (const int mult : options.vae_channel_mult) widths.push_back(options.vae_channels * mult);
  const std::vector<std::string> down(widths.size(), "DownEncoderBlock2D");
  const std::vector<std::string> up(widths.size(), "UpDecoderBlock2D");
  return fmt::format(R"({{"_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3,)"
                     R"( "latent_channels": 4, "sample_size": 128, "block_out_channels": [{}],)"
                     R"( "layers_per_block": {}, "norm_num_groups": {}, "scaling_factor": {},)"
                     R"( "down_block_types": {}, "up_block_types": {}}})",
                     fmt::join(widths, ", "), options.vae_res_blocks, options.vae_groups,
                     options.clip_g_width > 0 ? 0.13025 : 0.18215, list_of(down), list_of(up));
}

std::string transformers_clip_l_config(const TinySd15Options& options) {
  const int heads =
      options.text_heads > 0 ? options.text_heads : std::max(1, options.context_width / 64);
  return clip_config("CLIPTextModel", "quick_gelu", options.context_width, options.text_layers,
                     heads);
}

std::string transformers_clip_g_config(const TinySd15Options& options) {
  return clip_config("CLIPTextModelWithProjection", "gelu", options.clip_g_width,
                     options.clip_g_layers, std::max(1, options.clip_g_width / 64));
}

void write_diffusers_folder(const std::string& path, const TinySd15Options& options,
                            const DiffusersFolderOptions& how) {
  const fs::path folder(path);
  const bool sdxl = options.clip_g_width > 0;
  const std::string ending = how.fp16_names ? ".fp16.safetensors" : ".safetensors";
  const auto add = [&](const std::string& name, const std::string& stem,
                       std::vector<FilledTensor> tensors, const std::string& config, int shards) {
    write_text(folder / name / "config.json", config);
    const fs::path file = folder / name / (stem + ending);
    if (shards == 1) return write_tensors(file.string(), std::move(tensors));
    write_shards(folder / name / (stem + ".safetensors.index.json"), std::move(tensors), shards,
                 {{"format", "pt"}});
  };
  std::vector<std::string> parts;
  const auto part = [&](const char* name, const char* library, const char* of) {
    parts.push_back(fmt::format(R"("{}": ["{}", "{}"])", name, library, of));
  };
  if (options.with_unet) {
    part("unet", "diffusers", "UNet2DConditionModel");
    add("unet", "diffusion_pytorch_model", diffusers_unet_tensors(options),
        diffusers_unet_config(options), how.unet_shards);
  }
  if (options.with_vae) {
    part("vae", "diffusers", "AutoencoderKL");
    add("vae", "diffusion_pytorch_model", diffusers_vae_tensors(options),
        diffusers_vae_config(options), 1);
  }
  if (options.with_text) {
    part("text_encoder", "transformers", "CLIPTextModel");
    add("text_encoder", "model", transformers_clip_l_tensors(options),
        transformers_clip_l_config(options), 1);
  }
  if (options.with_text && sdxl) {
    part("text_encoder_2", "transformers", "CLIPTextModelWithProjection");
    add("text_encoder_2", "model", transformers_clip_g_tensors(options),
        transformers_clip_g_config(options), 1);
  }
  write_text(folder / "model_index.json",
             fmt::format("{{\"_class_name\": \"{}\", {}}}\n",
                         sdxl ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline",
                         fmt::join(parts, ", ")));
  write_text(folder / "scheduler" / "scheduler_config.json",
             R"({"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"})");
}

}  // namespace luna::support
