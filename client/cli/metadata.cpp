#include "client/cli/metadata.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "client/cli/lora_text.h"
#include "common/config/version.h"

namespace luna::client {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// Raised when old readers would misread a request.
constexpr int kRequestVersion = 1;

using Names = std::pair<std::string_view, std::string_view>;

constexpr std::array<Names, 9> kSamplers = {{
    {"euler", "Euler"},
    {"euler_ancestral", "Euler a"},
    {"heun", "Heun"},
    {"dpmpp_2m", "DPM++ 2M"},
    {"dpmpp_sde", "DPM++ SDE"},
    {"dpmpp_2m_sde", "DPM++ 2M SDE"},
    {"lcm", "LCM"},
    {"ddim", "DDIM"},
    {"uni_pc", "UniPC"},
}};

constexpr std::array<Names, 9> kSchedulers = {{
    {"normal", "Normal"},
    {"karras", "Karras"},
    {"exponential", "Exponential"},
    {"sgm_uniform", "SGM Uniform"},
    {"simple", "Simple"},
    {"ddim_uniform", "DDIM"},
    {"beta", "Beta"},
    {"linear_quadratic", "Linear Quadratic"},
    {"kl_optimal", "KL Optimal"},
}};

template <std::size_t n>
std::string name_in(const std::array<Names, n>& names, const std::string& name) {
  const auto found = std::ranges::find(names, std::string_view(name), &Names::first);
  return found == names.end() ? name : std::string(found->second);
}

/// A file as ComfyUI's loaders name it: what follows its kind's folder, else the bare name.
std::string comfy_name(const std::string& file, std::initializer_list<std::string_view> folders) {
  for (const std::string_view folder : folders) {
    const std::string part = fmt::format("/{}/", folder);
    const std::size_t at = file.rfind(part);
    if (at != std::string::npos) return file.substr(at + part.size());
  }
  return file.starts_with('/') ? fs::path(file).filename().string() : file;
}

json node(std::string_view type, json inputs) {
  return {{"class_type", type}, {"inputs", std::move(inputs)}};
}

json link(std::string_view from, int output) { return json::array({from, output}); }

std::string dumped(const json& object, int indent = -1) {
  return object.dump(indent, ' ', true, json::error_handler_t::replace);
}

/// Shortest text that reads back as the same number: 7, 7.5, 0.75.
std::string number(double value) { return fmt::format("{}", value); }

constexpr std::size_t kFirstLoraNode = 20;

/// Of one picture, for which nothing is left to draw.
std::vector<LoraRef> settled(const std::vector<LoraDraw>& loras) {
  auto sets = draw_loras(loras, 0, 1);
  return sets.ok() ? std::move(sets->front()) : std::vector<LoraRef>();
}

std::vector<LoraRef> loras_of(const std::vector<std::string>& texts) {
  std::vector<LoraDraw> loras;
  for (const std::string& text : texts) {
    if (auto lora = lora_from_text(text); lora.ok()) loras.push_back(*std::move(lora));
  }
  return settled(loras);
}

/// The prompt without tags, and the adapters of the flags and of the tags.
std::pair<std::string, std::vector<LoraRef>> adapters_of(const Settings& settings) {
  std::vector<LoraRef> loras = loras_of(settings.loras.value_or(std::vector<std::string>()));
  auto tagged = take_lora_tags(settings.prompt.value_or(""));
  if (!tagged.ok()) return {settings.prompt.value_or(""), loras};
  for (LoraRef& lora : settled(tagged->loras)) loras.push_back(std::move(lora));
  return {std::move(tagged->prompt), std::move(loras)};
}

/// As they stand in prompts elsewhere.
std::string tags_of(const std::vector<std::string>& texts) {
  std::string tags;
  for (const LoraRef& lora : loras_of(texts)) {
    const std::string name = fs::path(lora.path).stem().string();
    tags += lora.clip_strength == lora.model_strength
                ? fmt::format(" <lora:{}:{}>", name, lora.model_strength)
                : fmt::format(" <lora:{}:{}:{}>", name, lora.model_strength, lora.clip_strength);
  }
  return tags;
}

/// ComfyUI has a loader of its own for diffusers folders, which have no ending.
json checkpoint_node(const Settings& settings) {
  const std::string file = settings.checkpoint.value_or("");
  if (fs::path(file).extension().empty() && !file.empty())
    return node("DiffusersLoader", {{"model_path", comfy_name(file, {"diffusers"})}});
  return node("CheckpointLoaderSimple", {{"ckpt_name", comfy_name(file, {"checkpoints"})}});
}

/// Where a KSampler takes its inputs from.
struct SamplerLinks {
  json positive = link("6", 0);
  json negative = link("7", 0);
  json latent;
};

/// Nodes of the starting latent, and of what an inpainting model sees of the picture.
SamplerLinks add_latent(json* graph, const Settings& settings, const json& vae,
                        bool masked_picture) {
  SamplerLinks links;
  const int batch = settings.batch.value_or(1);
  if (!settings.image) {
    (*graph)["5"] = node("EmptyLatentImage", {{"width", settings.width.value_or(512)},
                                              {"height", settings.height.value_or(512)},
                                              {"batch_size", batch}});
    links.latent = link("5", 0);
    return links;
  }
  const std::string name = fs::path(*settings.image).filename().string();
  (*graph)["10"] = node("LoadImage", {{"image", name}});
  json pixels = link("10", 0);
  if (settings.width && settings.height) {
    (*graph)["11"] = node("ImageScale", {{"image", pixels},
                                         {"upscale_method", "lanczos"},
                                         {"width", *settings.width},
                                         {"height", *settings.height},
                                         {"crop", "center"}});
    pixels = link("11", 0);
  }
  if (settings.mask) {
    (*graph)["12"] = node("LoadImageMask", {{"image", fs::path(*settings.mask).filename().string()},
                                            {"channel", "red"}});
  }
  if (masked_picture) {
    (*graph)["13"] = node("InpaintModelConditioning", {{"positive", links.positive},
                                                       {"negative", links.negative},
                                                       {"vae", vae},
                                                       {"pixels", pixels},
                                                       {"mask", link("12", 0)},
                                                       {"noise_mask", true}});
    links = {link("13", 0), link("13", 1), link("13", 2)};
  } else {
    (*graph)["5"] = node("VAEEncode", {{"pixels", pixels}, {"vae", vae}});
    links.latent = link("5", 0);
    if (settings.mask) {
      (*graph)["13"] =
          node("SetLatentNoiseMask", {{"samples", links.latent}, {"mask", link("12", 0)}});
      links.latent = link("13", 0);
    }
  }
  if (batch > 1) {
    (*graph)["14"] = node("RepeatLatentBatch", {{"samples", links.latent}, {"amount", batch}});
    links.latent = link("14", 0);
  }
  return links;
}

}  // namespace

std::string a1111_parameters(const Settings& settings) {
  std::string text =
      settings.prompt.value_or("") + tags_of(settings.loras.value_or(std::vector<std::string>()));
  if (!settings.negative.value_or("").empty()) text += "\nNegative prompt: " + *settings.negative;
  text += fmt::format(
      "\nSteps: {}, Sampler: {}, Schedule type: {}, CFG scale: {}, Seed: {}, Size: {}x{}",
      settings.steps.value_or(20), name_in(kSamplers, settings.sampler.value_or("euler")),
      name_in(kSchedulers, settings.scheduler.value_or("normal")),
      number(settings.cfg.value_or(7.0)), settings.seed.value_or(0), settings.width.value_or(512),
      settings.height.value_or(512));
  if (const auto& model = settings.checkpoint ? settings.checkpoint : settings.unet)
    text += fmt::format(", Model: {}", fs::path(*model).stem().string());
  if (settings.vae) text += fmt::format(", VAE: {}", fs::path(*settings.vae).filename().string());
  if (settings.denoise && *settings.denoise < 1.0) {
    text += fmt::format(", Denoising strength: {}", number(*settings.denoise));
  }
  if (settings.clip_skip.value_or(1) > 1)
    text += fmt::format(", Clip skip: {}", *settings.clip_skip);
  if (settings.batch.value_or(1) > 1) {
    text += fmt::format(", Batch size: {}, Batch pos: {}", *settings.batch,
                        settings.batch_index.value_or(0));
  }
  return text + fmt::format(", Version: luna {}", kVersion);
}

json comfy_graph(const Settings& settings, bool masked_picture) {
  json graph = json::object();
  const auto [prompt, loras] = adapters_of(settings);
  if (settings.checkpoint || !settings.unet) graph["4"] = checkpoint_node(settings);
  json clip = link("4", 1);
  json vae = link("4", 2);
  if (settings.clip && settings.clip_g) {
    graph["15"] = node("DualCLIPLoader",
                       {{"clip_name1", comfy_name(*settings.clip, {"text_encoders", "clip"})},
                        {"clip_name2", comfy_name(*settings.clip_g, {"text_encoders", "clip"})},
                        {"type", "sdxl"}});
    clip = link("15", 0);
  } else if (settings.clip) {
    graph["15"] =
        node("CLIPLoader", {{"clip_name", comfy_name(*settings.clip, {"text_encoders", "clip"})},
                            {"type", "stable_diffusion"}});
    clip = link("15", 0);
  }
  if (settings.vae) {
    graph["16"] = node("VAELoader", {{"vae_name", comfy_name(*settings.vae, {"vae"})}});
    vae = link("16", 0);
  }
  json model = link("4", 0);
  if (settings.unet) {
    graph["18"] =
        node("UNETLoader", {{"unet_name", comfy_name(*settings.unet, {"diffusion_models", "unet"})},
                            {"weight_dtype", "default"}});
    model = link("18", 0);
  }
  for (std::size_t i = 0; i < loras.size(); ++i) {
    const std::string id = fmt::format("{}", kFirstLoraNode + i);
    graph[id] = node("LoraLoader", {{"lora_name", comfy_name(loras[i].path, {"loras"})},
                                    {"strength_model", loras[i].model_strength},
                                    {"strength_clip", loras[i].clip_strength},
                                    {"model", model},
                                    {"clip", clip}});
    model = link(id, 0);
    clip = link(id, 1);
  }
  if (settings.clip_skip.value_or(1) > 1) {
    graph["17"] =
        node("CLIPSetLastLayer", {{"clip", clip}, {"stop_at_clip_layer", -*settings.clip_skip}});
    clip = link("17", 0);
  }
  graph["6"] = node("CLIPTextEncode", {{"text", prompt}, {"clip", clip}});
  graph["7"] = node("CLIPTextEncode", {{"text", settings.negative.value_or("")}, {"clip", clip}});
  const SamplerLinks links = add_latent(&graph, settings, vae, masked_picture);
  graph["3"] = node("KSampler", {{"model", model},
                                 {"positive", links.positive},
                                 {"negative", links.negative},
                                 {"latent_image", links.latent},
                                 {"seed", settings.seed.value_or(0)},
                                 {"steps", settings.steps.value_or(20)},
                                 {"cfg", settings.cfg.value_or(7.0)},
                                 {"sampler_name", settings.sampler.value_or("euler")},
                                 {"scheduler", settings.scheduler.value_or("normal")},
                                 {"denoise", settings.denoise.value_or(1.0)}});
  graph["8"] = node("VAEDecode", {{"samples", link("3", 0)}, {"vae", vae}});
  graph["9"] = node("SaveImage", {{"images", link("8", 0)}, {"filename_prefix", "luna"}});
  return graph;
}

std::vector<PngText> picture_texts(const Settings& settings, int width, int height,
                                   bool masked_picture) {
  Settings sized = settings;
  sized.width = width;
  sized.height = height;
  const bool size_of_image = settings.image && !settings.width && !settings.height;
  const Settings& repeatable = size_of_image ? settings : sized;
  const json request = {
      {"format", kRequestVersion}, {"version", kVersion}, {"request", to_json(repeatable)}};
  return {{"parameters", a1111_parameters(sized)},
          {"prompt", dumped(comfy_graph(repeatable, masked_picture))},
          {"luna", dumped(request)}};
}

Result<Settings> settings_of_picture(const std::string& path) {
  LUNA_ASSIGN_OR_RETURN(const std::vector<PngText> texts, read_png_texts(path));
  const auto found = std::ranges::find(texts, "luna", &PngText::keyword);
  if (found == texts.end()) {
    return error(StatusCode::kNotFound, "'{}' does not hold a request of luna's (PNG text 'luna')",
                 path);
  }
  const json object = json::parse(found->text, nullptr, false);
  if (!object.is_object() || !object.contains("request") || !object.contains("format") ||
      !object["format"].is_number_integer()) {
    return error(StatusCode::kInvalidArgument, "the request in '{}' cannot be read", path);
  }
  if (object["format"].get<std::int64_t>() != kRequestVersion) {
    return error(StatusCode::kInvalidArgument,
                 "the request in '{}' has format {}, this luna reads {}", path,
                 object["format"].dump(), kRequestVersion);
  }
  Result<Settings> settings = settings_from_json(object["request"]);
  if (!settings.ok())
    return settings.status().with_context(fmt::format("the request in '{}'", path));
  LUNA_RETURN_IF_ERROR(check(*settings).with_context(fmt::format("the request in '{}'", path)));
  return settings;
}

}  // namespace luna::client
