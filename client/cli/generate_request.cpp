#include "client/cli/generate_request.h"

#include <algorithm>
#include <filesystem>

#include "client/cli/lora_text.h"
#include "common/image/png.h"

namespace luna::client {
namespace {

namespace fs = std::filesystem;

Precision precision_of(const std::optional<std::string>& name, Precision otherwise) {
  return name ? precision_from_name(*name).value_or(otherwise) : otherwise;
}

RequestedModels requested_models(const Settings& settings, bool local) {
  const Precision precision = precision_of(settings.precision, Precision::kAuto);
  const Precision clip = precision_of(settings.clip_precision, precision);
  const Precision vae = precision_of(settings.vae_precision, precision);
  RequestedModels models;
  if (settings.checkpoint)
    models.checkpoint = ModelRef{model_file(*settings.checkpoint, local), precision};
  if (settings.unet)
    models.slots[Slot::kUNet] = ModelRef{model_file(*settings.unet, local), precision};
  if (settings.vae) {
    models.slots[Slot::kVae] = ModelRef{model_file(*settings.vae, local), vae};
  } else if (vae != precision) {
    models.slot_precision[Slot::kVae] = vae;
  }
  if (settings.clip) {
    models.slots[Slot::kClipL] = ModelRef{model_file(*settings.clip, local), clip};
  } else if (clip != precision) {
    models.slot_precision[Slot::kClipL] = clip;
  }
  if (settings.clip_g)
    models.slots[Slot::kClipG] = ModelRef{model_file(*settings.clip_g, local), clip};
  return models;
}

}  // namespace

std::string model_file(const std::string& named, bool local) {
  std::error_code failure;
  const bool here = fs::is_regular_file(named, failure) ||
                    fs::is_regular_file(fs::path(named) / "model_index.json", failure);
  if (!local || named.empty() || !here) return named;
  const fs::path absolute = fs::absolute(named, failure);
  return failure ? named : absolute.lexically_normal().string();
}

Result<GenerateRequest> generate_request(const Settings& settings, bool local) {
  GenerateRequest request;
  request.models = requested_models(settings, local);
  LUNA_ASSIGN_OR_RETURN(PromptWithLoras prompt, take_lora_tags(settings.prompt.value_or("")));
  request.prompt = std::move(prompt.prompt);
  std::vector<LoraDraw> loras;
  for (const std::string& text : settings.loras.value_or(std::vector<std::string>())) {
    LUNA_ASSIGN_OR_RETURN(LoraDraw lora, lora_from_text(text));
    lora.path = model_file(lora.path, local);
    loras.push_back(std::move(lora));
  }
  loras.insert(loras.end(), prompt.loras.begin(), prompt.loras.end());
  LUNA_ASSIGN_OR_RETURN(auto sets,
                        draw_loras(loras, settings.lora_seed.value_or(settings.seed.value_or(0)),
                                   settings.batch.value_or(1)));
  if (std::ranges::any_of(loras, &LoraDraw::differs_by_picture)) {
    request.picture_loras = std::move(sets);
  } else {
    request.loras = std::move(sets.front());
  }
  request.lora_application = lora_application_from_name(settings.lora_application.value_or("auto"))
                                 .value_or(LoraApplication::kAuto);
  request.negative = settings.negative.value_or("");
  request.width = settings.width;
  request.height = settings.height;
  request.run.sampler = settings.sampler.value_or(request.run.sampler);
  request.run.scheduler = settings.scheduler.value_or(request.run.scheduler);
  request.run.steps = settings.steps.value_or(request.run.steps);
  request.run.denoise = settings.denoise.value_or(request.run.denoise);
  request.cfg = settings.cfg.value_or(request.cfg);
  request.seed = settings.seed.value_or(0);
  request.batch = settings.batch.value_or(1);
  request.batch_index = settings.batch_index;
  request.clip_skip = settings.clip_skip.value_or(0);
  if (settings.image) {
    LUNA_ASSIGN_OR_RETURN(PngFile file, read_png(*settings.image));
    request.image = std::move(file.image);
  }
  if (settings.mask) {
    LUNA_ASSIGN_OR_RETURN(PngFile file, read_png(*settings.mask));
    request.mask = std::move(file.image);
  }
  return request;
}

Result<std::string> default_checkpoint(AdminService& admin, std::size_t* count) {
  LUNA_ASSIGN_OR_RETURN(const AdminService::Models models, admin.list_models("checkpoints"));
  *count = models.files.size();
  if (models.files.empty()) {
    return error(
        StatusCode::kNotFound,
        "no checkpoint was named (--checkpoint), and there is none below the daemon's model roots "
        "([models] roots in config.toml)");
  }
  return models.files.front().file;
}

}  // namespace luna::client
