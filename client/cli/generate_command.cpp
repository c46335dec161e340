#include <algorithm>
#include <filesystem>
#include <map>

#include "client/cli/command.h"
#include "client/cli/generate_request.h"
#include "client/cli/lora_text.h"
#include "client/cli/metadata.h"
#include "client/cli/picture_files.h"
#include "client/cli/progress_line.h"
#include "client/cli/settings.h"
#include "client/include/luna/client/latents.h"
#include "common/image/whole_file.h"

namespace luna::client {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples = R"(Examples:
  luna generate --prompt "a lighthouse at dusk"
      The only (or first) checkpoint below the model roots, 20 steps of euler, a random seed; luna.png.
  luna generate --checkpoint v1-5.safetensors --prompt "a (red:1.3) fox" --negative blurry \
      --width 640 --height 512 --steps 25 --cfg 6 --sampler dpmpp_2m --scheduler karras --seed 7 --output fox.png
  luna generate --prompt "the same in winter" --image fox.png --denoise 0.6 --output winter.png
      Picture to picture; with --mask MASK.png only what is white in the mask is repainted,
      by an inpainting model as ComfyUI's InpaintModelConditioning has it.
  luna generate --prompt "a cat" --batch 4 --output cat.png
      cat_0.png ... cat_3.png, from one draw of noise as in ComfyUI.
  luna generate --prompt "a pier" --unet sdxl-unet.safetensors --clip-l clip_l.safetensors \
      --clip-g clip_g.safetensors --vae sdxl-vae.safetensors
      From files of one component each.
  luna generate --prompt "a cat" --batch 200 --lora ink.safetensors:0.2..1.1 --lora glow.safetensors:0..0.8
      200 pictures, each with strengths of its own; every picture's metadata repeats it alone.
  luna generate --from fox.png --steps 40
      The request in the picture's metadata again, with 40 steps.)";

struct GenerateFlags {
  CommonFlags common;
  Settings said;
  std::string from;
  std::string output;
  std::string save_latents;
};

/// One run of `luna generate`.
class GenerateCommand {
 public:
  GenerateCommand(const Console& console, const GenerateFlags& flags)
      : console_(console), flags_(flags) {}

  int run() {
    const Status status = work();
    return status.ok() ? kExitOk : report_failure(console_, status, flags_.common.json);
  }

 private:
  Status work() {
    LUNA_RETURN_IF_ERROR(settle());
    LUNA_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          connect(console_, flags_.common, true));
    LUNA_RETURN_IF_ERROR(choose_checkpoint(*client));
    const bool local = client->connection().address.starts_with("unix:");
    LUNA_ASSIGN_OR_RETURN(GenerateRequest request, generate_request(settings_, local));
    if (!local) LUNA_RETURN_IF_ERROR(upload_loras(*client, request));
    for (auto* file : {&settings_.checkpoint, &settings_.unet, &settings_.vae, &settings_.clip,
                       &settings_.clip_g}) {
      if (*file) *file = model_file(**file, local);
    }

    ProgressLine line(console_.err, console_.err_is_terminal);
    const auto on_progress = [&](const GenerateProgress& progress) {
      if (progress.stage == GenerateStage::kEncode) console_.on_cancellable();
      line.show(progress);
    };
    const std::size_t count = request.batch_index ? 1 : static_cast<std::size_t>(request.batch);
    const bool chosen = !flags_.output.empty();
    files_ = picture_names(chosen ? flags_.output : free_output("", count), count);
    drawn_ = !request.picture_loras.empty();
    prompt_ = request.prompt;
    Result<GenerateResult> result =
        client->generate(request, on_progress, console_.stop, Deadline(), Priority::kNormal,
                         [this](const GeneratedPicture& picture) { return save(picture); });
    line.finish();
    if (!result.ok()) return result.status();
    return deliver(*result);
  }

  /// What is known before a daemon is asked: settings, ranges, where the results go.
  Status settle() {
    Settings said = flags_.said;
    if (!flags_.from.empty()) {
      LUNA_ASSIGN_OR_RETURN(const Settings before, settings_of_picture(flags_.from));
      said = merged(before, said);
    }
    if (!said.prompt) {
      return error(StatusCode::kInvalidArgument,
                   "a prompt is needed: --prompt \"...\" (or --from PICTURE.png)");
    }
    LUNA_RETURN_IF_ERROR(check(said));
    for (auto* file : {&said.image, &said.mask}) {
      if (*file) *file = fs::absolute(**file).lexically_normal().string();
    }
    settings_ = with_defaults(std::move(said));
    if (!flags_.output.empty()) LUNA_RETURN_IF_ERROR(check_output(flags_.output));
    return {};
  }

  /// Adapters that lie on this machine, which the daemon's cannot see.
  static Status upload_loras(Client& client, GenerateRequest& request) {
    std::map<std::string, std::string> uploaded;
    const auto upload = [&](std::vector<LoraRef>& loras) -> Status {
      for (LoraRef& lora : loras) {
        std::error_code failure;
        if (!fs::is_regular_file(lora.path, failure)) continue;
        std::string& name = uploaded[lora.path];
        if (name.empty()) {
          LUNA_ASSIGN_OR_RETURN(name, client.admin().upload_adapter(lora.path));
        }
        lora.path = name;
      }
      return {};
    };
    LUNA_RETURN_IF_ERROR(upload(request.loras));
    for (std::vector<LoraRef>& loras : request.picture_loras) LUNA_RETURN_IF_ERROR(upload(loras));
    return {};
  }

  Status choose_checkpoint(Client& client) {
    if (settings_.checkpoint || settings_.unet) return {};
    std::size_t count = 0;
    LUNA_ASSIGN_OR_RETURN(settings_.checkpoint, default_checkpoint(client.admin(), &count));
    *console_.err << "checkpoint: " << *settings_.checkpoint
                  << (count > 1
                          ? fmt::format(" (the first of {}; choose with --checkpoint)\n", count)
                          : "\n");
    return {};
  }

  Status deliver(const GenerateResult& result) {
    for (const std::string& warning : result.warnings)
      *console_.err << "warning: " << warning << '\n';
    if (!flags_.save_latents.empty()) {
      LUNA_RETURN_IF_ERROR(save_latents(flags_.save_latents, result.latents));
    }
    if (flags_.common.json) {
      print_json(console_, summary(result));
    } else {
      for (const std::string& file : files_) *console_.out << file << '\n';
      *console_.err << fmt::format(
          "seed {}, {} x {}, {:.2f} s\n", *settings_.seed, result.width, result.height,
          result.seconds_encoding + result.seconds_sampling + result.seconds_decoding);
    }
    return {};
  }

  /// Writes the next picture, as it comes.
  Status save(const GeneratedPicture& picture) {
    Settings settings = settings_;
    if (*settings.batch > 1) settings.batch_index = picture.batch_index;
    if (drawn_) {
      settings.prompt = prompt_;
      settings.loras.emplace();
      for (const LoraRef& lora : picture.loras) settings.loras->push_back(lora_in_text(lora));
    }
    const int width = picture.image.width, height = picture.image.height;
    LUNA_ASSIGN_OR_RETURN(
        const std::string bytes,
        encode_png(picture.image, picture_texts(settings, width, height, picture.masked_picture)));
    std::string& file = files_[saved_.size()];
    const bool chosen = !flags_.output.empty();
    Status status = write_whole_file(file, bytes, chosen ? Existing::kReplace : Existing::kRefuse);
    // Another command took the default name in the meantime.
    for (int again = 0; again < 100 && status.code() == StatusCode::kAlreadyExists; ++again) {
      file = free_output("", 1);
      status = write_whole_file(file, bytes, Existing::kRefuse);
    }
    LUNA_RETURN_IF_ERROR(status);
    nlohmann::json entry = {{"file", file}, {"batch_index", picture.batch_index}};
    for (const LoraRef& lora : picture.loras) entry["loras"].push_back(lora_in_text(lora));
    saved_.push_back(std::move(entry));
    return {};
  }

  nlohmann::json summary(const GenerateResult& result) const {
    nlohmann::json pictures = saved_;
    for (std::size_t i = 0; i < result.loras.size() && i < pictures.size(); ++i) {
      pictures[i]["lora_application"] = lora_application_name(result.loras[i].application);
      if (!result.loras[i].reason.empty()) pictures[i]["reason"] = result.loras[i].reason;
    }
    nlohmann::json object = {{"pictures", pictures},
                             {"seed", *settings_.seed},
                             {"width", result.width},
                             {"height", result.height},
                             {"workflow", result.workflow_id},
                             {"evaluations", result.evaluations},
                             {"seconds",
                              {{"encoding", result.seconds_encoding},
                               {"sampling", result.seconds_sampling},
                               {"decoding", result.seconds_decoding}}},
                             {"warnings", result.warnings},
                             {"request", to_json(settings_)}};
    if (!flags_.save_latents.empty()) object["latents"] = flags_.save_latents;
    return object;
  }

  const Console& console_;
  const GenerateFlags& flags_;
  Settings settings_;
  std::vector<std::string> files_;  ///< one a picture
  std::vector<nlohmann::json> saved_;
  bool drawn_ = false;  ///< every picture has strengths of its own
  std::string prompt_;  ///< without tags
};

void add_model_flags(CLI::App* command, Settings* said) {
  command
      ->add_option(
          "--checkpoint", said->checkpoint,
          "Model named as in ComfyUI (below checkpoints/ or diffusers/) or by path: a file, "
          "a .safetensors.index.json of shards, or a diffusers folder")
      ->group("Models");
  command
      ->add_option("--unet", said->unet,
                   "Another UNet than the checkpoint's (below diffusion_models/ or unet/); with "
                   "--clip and --vae no checkpoint is needed")
      ->group("Models");
  command->add_option("--vae", said->vae, "Another VAE than the checkpoint's (below vae/)")
      ->group("Models");
  command
      ->add_option("--clip,--clip-l", said->clip,
                   "Another text encoder than the checkpoint's (below text_encoders/ or clip/)")
      ->group("Models");
  command->add_option("--clip-g", said->clip_g, "Another second text encoder, of an SDXL")
      ->group("Models");
  command
      ->add_option("--precision", said->precision,
                   "f32, bf16 or fp16 (default: f32 on a CPU, 16 bits on a GPU)")
      ->group("Models");
  command
      ->add_option_function<std::vector<std::string>>(
          "--lora", [said](const std::vector<std::string>& loras) { said->loras = loras; },
          "FILE[:MODEL[:CLIP]][@BLOCK=FACTOR,...]: an adapter below loras/ (or by path) and its "
          "strengths, 1 unless said; 0.2..0.9 draws one for each picture, 0.1,0.5 gives one to "
          "each; repeatable, and <lora:NAME:0.8> in a prompt does the same")
      ->allow_extra_args(false)
      ->group("Models");
  command
      ->add_option("--lora-seed", said->lora_seed,
                   "What --lora draws strengths from (default: --seed)")
      ->group("Models");
  command
      ->add_option("--lora-application", said->lora_application,
                   "auto (default), merged (weights of its own for each set) or row-wise (any sets "
                   "share forwards)")
      ->group("Models");
  command->add_option("--clip-precision", said->clip_precision, "Of the text encoder alone")
      ->group("Models");
  command->add_option("--vae-precision", said->vae_precision, "Of the VAE alone")->group("Models");
}

void add_picture_flags(CLI::App* command, Settings* said) {
  command
      ->add_option("--prompt", said->prompt,
                   "What to draw; (x:1.2) weighs, embedding:NAME and <lora:NAME:0.8> insert")
      ->group("Picture");
  command->add_option("--negative", said->negative, "What to avoid")->group("Picture");
  command
      ->add_option("--width", said->width,
                   "Pixels, a multiple of 8 (default: the model's, or --image's)")
      ->group("Picture");
  command->add_option("--height", said->height, "Pixels, a multiple of 8")->group("Picture");
  command->add_option("--batch", said->batch, "Number of pictures (default 1)")->group("Picture");
  command->add_option("--image", said->image, "PNG to start from; see --denoise")->group("Picture");
  command->add_option("--mask", said->mask, "PNG: white is repainted, black stays")
      ->group("Picture");
  command
      ->add_option("--clip-skip", said->clip_skip,
                   "Text encoder's layer from the end: 1 the last, 2 the one before")
      ->group("Picture");
}

void add_sampling_flags(CLI::App* command, Settings* said) {
  command->add_option("--steps", said->steps, "Default 20")->group("Sampling");
  command->add_option("--cfg", said->cfg, "Guidance (default 7); 1 switches it off")
      ->group("Sampling");
  command
      ->add_option(
          "--sampler", said->sampler,
          "euler (default), euler_ancestral, heun, dpmpp_2m, dpmpp_sde, dpmpp_2m_sde, lcm, ddim, "
          "uni_pc")
      ->group("Sampling");
  command
      ->add_option(
          "--scheduler", said->scheduler,
          "normal (default), karras, exponential, sgm_uniform, simple, ddim_uniform, beta, "
          "linear_quadratic, kl_optimal")
      ->group("Sampling");
  command->add_option("--seed", said->seed, "0 to 2^64-1 (default: random, and printed)")
      ->group("Sampling");
  command
      ->add_option("--denoise", said->denoise,
                   "0 to 1: how much of --image is drawn anew (default 1)")
      ->group("Sampling");
}

}  // namespace

void add_generate_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command = app->add_subcommand("generate", "Make pictures from a prompt");
  const auto flags = std::make_shared<GenerateFlags>();
  add_picture_flags(command, &flags->said);
  add_sampling_flags(command, &flags->said);
  add_model_flags(command, &flags->said);
  command
      ->add_option("--output", flags->output,
                   "NAME.png, replaced when it exists; several become NAME_0.png, NAME_1.png "
                   "(default: luna.png, or the next free luna-N.png)")
      ->group("Results");
  command
      ->add_option("--save-latents", flags->save_latents,
                   "F.safetensors: 'latent_tensor', f32 [B,C,h,w], VAE scale")
      ->group("Results");
  command->add_option("--from", flags->from, "PNG made by luna: repeat it; other flags override")
      ->group("Results");
  add_common_flags(command, &flags->common);
  command->footer(kExamples);
  command->callback([flags, &console, action] {
    *action = [flags, &console] { return GenerateCommand(console, *flags).run(); };
  });
}

}  // namespace luna::client
