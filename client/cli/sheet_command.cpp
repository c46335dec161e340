#include "client/cli/command.h"
#include "client/cli/metadata.h"
#include "client/cli/picture_files.h"
#include "common/image/contact_sheet.h"
#include "common/image/png.h"
#include "common/image/whole_file.h"

namespace luna::client {
namespace {

constexpr const char* kExamples = R"(Examples:
  luna sheet --output sheet.png night_*.png             all pictures on one, about as wide as high
  luna sheet --columns 4 --cell 128 --output small.png *.png)";
constexpr std::size_t kMaxPictures = 1024;

struct SheetFlags {
  CommonFlags common;
  std::vector<std::string> pictures;
  std::string output;
  SheetLayout layout;
};

/// "" for a picture that no luna made.
std::string prompt_of(const std::string& file) {
  const Result<Settings> settings = settings_of_picture(file);
  return settings.ok() ? settings->prompt.value_or("") : "";
}

Status make_sheet(const Console& console, const SheetFlags& flags) {
  LUNA_RETURN_IF_ERROR(check_output(flags.output));
  if (flags.pictures.size() > kMaxPictures) {
    return error(StatusCode::kInvalidArgument, "a sheet holds at most {} pictures, found {}",
                 kMaxPictures, flags.pictures.size());
  }
  std::vector<Image> pictures;
  std::string prompts;
  nlohmann::json listed = nlohmann::json::array();
  for (const std::string& file : flags.pictures) {
    LUNA_ASSIGN_OR_RETURN(PngFile picture, read_png(file));
    pictures.push_back(std::move(picture.image));
    const std::string prompt = prompt_of(file);
    prompts += fmt::format("{}{}", prompts.empty() ? "" : "\n", prompt.empty() ? file : prompt);
    listed.push_back({{"file", file}, {"prompt", prompt}});
  }
  LUNA_ASSIGN_OR_RETURN(const Image sheet, contact_sheet(pictures, flags.layout));
  LUNA_ASSIGN_OR_RETURN(const std::string bytes, encode_png(sheet, {{"Description", prompts}}));
  LUNA_RETURN_IF_ERROR(write_whole_file(flags.output, bytes, Existing::kReplace));
  if (flags.common.json) {
    print_json(console, {{"file", flags.output},
                         {"width", sheet.width},
                         {"height", sheet.height},
                         {"pictures", listed}});
  } else {
    *console.out << flags.output << '\n';
  }
  return {};
}

}  // namespace

void add_sheet_command(CLI::App* app, const Console& console, Action* action) {
  CLI::App* command = app->add_subcommand("sheet", "Put pictures side by side into one");
  const auto flags = std::make_shared<SheetFlags>();
  command->add_option("pictures", flags->pictures, "PNG files, row by row in this order")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--output", flags->output, "NAME.png, replaced when it exists")->required();
  command->add_option("--columns", flags->layout.columns, "Default: about as wide as high");
  command->add_option("--cell", flags->layout.cell,
                      "Pixels for each picture; larger ones are reduced (default: the largest's)");
  command->add_option("--margin", flags->layout.margin, "Pixels around each (default 8)");
  add_json_flag(command, &flags->common);
  command->footer(kExamples);
  command->callback([flags, &console, action] {
    *action = [flags, &console] {
      const Status status = make_sheet(console, *flags);
      return status.ok() ? static_cast<int>(kExitOk)
                         : report_failure(console, status, flags->common.json);
    };
  });
}

}  // namespace luna::client
