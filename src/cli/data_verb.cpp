// SPDX-License-Identifier: Apache-2.0
// `frf data check|pack|convert`: what is wrong with a data set, one file out of thousands, label formats into
// each other.
#include <fmt/format.h>

#include "base/plural.h"
#include "cli/cli.h"
#include "data/check.h"
#include "data/convert.h"
#include "data/pack.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

struct DataArguments {
  DatasetSpec spec;
  std::string splits, output, split = "train", images;
  ConvertOptions convert;
  int jpeg = 0, most = 20;
  bool json = false;
};

std::vector<std::string> Words(const std::string& text) {
  return text.empty() ? std::vector<std::string>{} : CLI::detail::split(text, ',');
}

int RunCheck(const DataArguments& arguments) {
  const CheckReport report = CheckData(arguments.spec, Words(arguments.splits));
  if (arguments.json)
    PrintJson(ToJson(report));
  else
    fmt::print("{}", FormatCheck(report, arguments.most));
  return report.errors() > 0 ? 1 : 0;
}

int RunPack(const DataArguments& arguments) {
  CheckOutputFile(arguments.output, "a pack", InputFiles().AddData(arguments.spec));
  const PackResult result = PackData(arguments.spec, arguments.output,
                                     {.splits = Words(arguments.splits), .jpeg_quality = arguments.jpeg});
  if (arguments.json) {
    PrintJson({{"output", arguments.output},
               {"samples", result.samples},
               {"bytes", result.bytes},
               {"contents", result.contents}});
    return 0;
  }
  fmt::print("{}: {}, {:.1f} MB\n", arguments.output, Counted(result.samples, "sample"),
             static_cast<double>(result.bytes) * 1e-6);
  for (const auto& line : result.contents) fmt::print("  {}\n", line);
  fmt::print("  read it as --data pack:{}\n", arguments.output);
  return 0;
}

bool NamesDataset(const std::string& text) {
  return text.starts_with("camvid:") || text.starts_with("cityscapes:") || text.starts_with("folder:") ||
         text.starts_with("pack:");
}

// What a data set's own layout already says, and what only a data set has, is refused where it would do
// nothing.
void CheckConvert(const DataArguments& arguments, const CLI::App& app) {
  if (arguments.spec.spec.starts_with("synth:"))
    throw Error(ErrorCode::kUsage, fmt::format("{}: drawn scenes have no files to convert; frf synth -o DIR "
                                               "writes some, with their labels",
                                               arguments.spec.spec));
  const bool dataset = NamesDataset(arguments.spec.spec), split = !arguments.images.empty();
  const auto refuse = [&](std::initializer_list<const char*> names, const char* why) {
    for (const char* name : names) {
      if (app.count(name) > 0)
        throw Error(ErrorCode::kUsage, fmt::format("{}: {} {}", arguments.spec.spec, name, why));
    }
  };
  const bool cityscapes = arguments.spec.spec.starts_with("cityscapes:");
  if (dataset)
    refuse({"--from", "--to", "--classes", "--images", "--split"},
           "is for label files; a data set knows its format, and all its splits are written");
  if (!dataset) refuse({"--list"}, "is for data sets (camvid:DIR, cityscapes:DIR ...)");
  if (!cityscapes) refuse({"--variant"}, "is for cityscapes:DIR");
  if (split) refuse({"--to"}, "does not go with --images: a folder data set has ids");
  if (!dataset && !split) refuse({"--split"}, "goes with --images");
  const auto own = [](const std::string& format) { return format != "ids" && format != "colors"; };
  if (own(arguments.convert.from) && (split || own(arguments.convert.to)))
    refuse({"--classes"}, "is for ids and colors; the other formats have classes of their own");
}

int RunConvert(const DataArguments& arguments, const CLI::App& app) {
  CheckConvert(arguments, app);
  InputFiles().Add(arguments.convert.classes).Refuse(arguments.output, "-o");
  ConvertResult result;
  if (NamesDataset(arguments.spec.spec))
    result = ConvertToFolder(arguments.spec, arguments.output);
  else if (!arguments.images.empty())
    result = AddToFolder(arguments.images, arguments.spec.spec, arguments.output, arguments.split,
                         arguments.convert);
  else
    result = ConvertLabelFiles(arguments.spec.spec, arguments.output, arguments.convert);
  for (const auto& failure : result.failures) fmt::print(stderr, "frf: {}\n", failure);
  if (arguments.json)
    PrintJson(ToJson(result));
  else
    fmt::print("{} written to {}, {} failed\n", Counted(result.files, "file"), arguments.output,
               result.failures.size());
  return result.failures.empty() ? 0 : 1;
}

void AddCommon(CLI::App* app, const std::shared_ptr<DataArguments>& a) {
  app->add_option("--list", a->spec.list, "file that names the images (and labels) to use");
  app->add_option("--variant", a->spec.variant, "cityscapes: labelIds or trainIds files");
  app->add_flag("--json", a->json, "one JSON document on standard output");
}

}  // namespace

void AddData(CLI::App& root, Action& action) {
  CLI::App* data = root.add_subcommand("data", "check, pack and convert labelled data sets");
  data->require_subcommand(1);
  data->footer(
      "Examples: frf data check folder:mydata\n"
      "          frf data pack cityscapes:cs -o cs.pack\n"
      "          frf data convert cityscapes:cs -o cs-folder\n"
      "Each has --help. Layouts: docs/data.md");
  auto a = std::make_shared<DataArguments>();

  CLI::App* check = data->add_subcommand(
      "check", "find bad labels, missing pairs, odd sizes and unreadable files, each by name");
  check->add_option("data", a->spec.spec, "camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE or synth:COUNT")
      ->required();
  check->add_option("--splits", a->splits, "of train,val,test; default: all that are there");
  check->add_option("--most", a->most, "lines of each kind that are printed")->check(AtLeastZero());
  AddCommon(check, a);
  check->footer("Exit code 1 where an error was found. Example: frf data check folder:mydata");
  check->callback([a, &action] { action = [a] { return RunCheck(*a); }; });

  CLI::App* pack = data->add_subcommand("pack", "one file with all images and labels, checksums included");
  pack->add_option("data", a->spec.spec, "camvid:DIR, cityscapes:DIR, folder:DIR or synth:COUNT")->required();
  pack->add_option("-o,--output", a->output, "the file")->required();
  pack->add_option("--splits", a->splits, "of train,val,test; default: all that are there");
  pack->add_option("--jpeg", a->jpeg, "store images as JPEG of this quality (loses detail); 0: PNG")
      ->check(CLI::Range(0, 100));
  AddCommon(pack, a);
  pack->footer(
      "Examples: frf data pack camvid:data/camvid -o camvid.pack\n"
      "          frf train --data pack:camvid.pack -o runs/first");
  pack->callback([a, &action] { action = [a] { return RunPack(*a); }; });

  CLI::App* convert = data->add_subcommand(
      "convert", "label images from one format to another; any data set or masks into folder layout");
  convert
      ->add_option("source", a->spec.spec,
                   "a label file, a folder of them, or a data set (camvid:DIR, cityscapes:DIR ...)")
      ->required();
  convert->add_option("-o,--output", a->output, "file or folder")->required();
  convert->add_option("--from", a->convert.from, "format of the labels")
      ->check(CLI::IsMember(LabelFormats()));
  convert->add_option("--to", a->convert.to, "format wanted")->check(CLI::IsMember(LabelFormats()));
  convert->add_option("--classes", a->convert.classes,
                      "of ids and colors: a classes.json, camvid or cityscapes");
  convert->add_option("--images", a->images,
                      "folder of images with the masks' names: makes a split of a folder data set");
  convert->add_option("--split", a->split, "with --images: which")
      ->check(CLI::IsMember({"train", "val", "test"}));
  AddCommon(convert, a);
  convert->footer(
      "Examples: frf data convert masks_rgb -o masks --from colors --classes classes.json\n"
      "          frf data convert cityscapes:cs -o cs-folder");
  convert->callback([a, convert, &action] { action = [a, convert] { return RunConvert(*a, *convert); }; });
}

}  // namespace frf::cli
