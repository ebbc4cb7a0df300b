// SPDX-License-Identifier: Apache-2.0
// `frf demo [IMAGE]`: shipped weights, a picture in, a picture out, frames per second.
// Subtle: the drawn street's seed lies in the range that training never sees (10000000 and above).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>

#include "base/files.h"
#include "base/plural.h"
#include "base/stats.h"
#include "base/system.h"
#include "cli/cli.h"
#include "data/synth.h"
#include "engine/segmenter.h"
#include "frf/error.h"
#include "image/image_io.h"
#include "image/transform.h"
#include "metrics/confusion.h"

namespace frf::cli {
namespace {

constexpr std::uint64_t kSeed = 10'000'009;

struct DemoArguments {
  std::string image, output = "demo", model;
  std::optional<std::uint64_t> seed;
  int threads = 0;
  bool json = false;
};

// Pictures beside each other with a caption above each, as large as the picture bears, so that it can be read
// where the whole sheet is scaled to a screen. A picture that is narrower than its caption gets more room.
Image SideBySide(const std::vector<std::pair<std::string, Image>>& pictures) {
  constexpr Color kPaper{24, 26, 30}, kInk{232, 234, 238};  // as the legend's
  constexpr int kMargin = 6;                                // of a caption, at scale 1 on both sides together
  int scale = std::max(1, pictures.at(0).second.width / 240);
  for (const auto& [caption, picture] : pictures)
    scale = std::clamp(picture.width / (TextWidth(caption) + kMargin), 1, scale);
  const int gap = 4 * scale, head = 12 * scale;
  const auto width_of = [&](const std::string& caption, const Image& picture) {
    return std::max(picture.width, TextWidth(caption, scale) + kMargin * scale);
  };
  Image sheet{.height = 0, .width = -gap, .channels = 3};
  for (const auto& [caption, picture] : pictures) {
    sheet.height = std::max(sheet.height, picture.height + head);
    sheet.width += width_of(caption, picture) + gap;
  }
  for (std::size_t i = 0; i < sheet.bytes(); ++i) sheet.pixels.push_back(kPaper[i % 3]);
  int left = 0;
  for (const auto& [caption, picture] : pictures) {
    DrawText(sheet, left + kMargin * scale / 2, (head - kTextHeight * scale) / 2, caption, kInk, scale);
    for (int y = 0; y < picture.height; ++y) {
      std::copy_n(picture.at(y, 0), static_cast<std::size_t>(picture.width) * 3, sheet.at(y + head, left));
    }
    left += width_of(caption, picture) + gap;
  }
  return sheet;
}

// A network's labels of the scene, and how long they take.
struct Shown {
  std::string name, numbers;  // shipped weights; "float32" or "int8"
  Classes classes;
  LabelImage labels;
  TimingStats stats;
  bool repeatable = true;
  std::optional<double> miou, accuracy;  // of a drawn street
};

// A picture, and what is known of it: `truth` stays null for photos and where the network knows other
// classes than the drawn streets have, since ids alone would compare road with pole.
struct Scene {
  Sample sample;
  const Classes* truth = nullptr;
};

Scene SceneFor(const Classes& classes, const DemoArguments& arguments) {
  Scene scene;
  if (!arguments.image.empty()) {
    scene.sample.image = ReadImage(arguments.image);
    return scene;
  }
  SceneSpec spec{.height = 360, .width = 480};
  for (const auto& [variant, drawn] :
       {std::pair("camvid", &CamVidClasses()), {"cityscapes", &CityscapesClasses()}}) {
    if (classes.names != drawn->names) continue;
    spec.variant = variant;
    scene.truth = drawn;
  }
  scene.sample = DrawScene(arguments.seed.value_or(kSeed), spec);
  return scene;
}

// Labels first, timed afterwards: at least five frames, at most about a second and a half.
Shown Show(const std::string& name, Model model, const std::string& numbers, const Scene& drawn,
           const DemoArguments& arguments) {
  const Sample& scene = drawn.sample;
  Segmenter segmenter(std::move(model), {.threads = arguments.threads});
  Shown shown{
      name,         numbers,     segmenter.info().classes, segmenter.Run(scene.image.view()), {}, true,
      std::nullopt, std::nullopt};
  std::vector<double> times;
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds_since = [](auto start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  while (times.size() < 5 || (times.size() < 100 && seconds_since(begin) < 0.8)) {
    const auto start = std::chrono::steady_clock::now();
    const LabelImage again = segmenter.Run(scene.image.view());
    times.push_back(seconds_since(start) * 1000);
    shown.repeatable = shown.repeatable && again.ids == shown.labels.ids;
    if (seconds_since(begin) > 2.0) break;
  }
  shown.stats = Summarize(times);
  if (drawn.truth != nullptr && shown.classes.names == drawn.truth->names) {
    ConfusionMatrix matrix(shown.classes.count());
    matrix.Add(scene.labels, shown.labels);
    shown.miou = matrix.MeanIou();
    shown.accuracy = matrix.PixelAccuracy();
  }
  return shown;
}

// A photo that an earlier run wrote would be lost.
void CheckOutputs(const DemoArguments& arguments) {
  for (const char* name : {"input.png", "mask.png", "overlay.png", "demo.png"}) {
    const std::filesystem::path output = std::filesystem::path(arguments.output) / name;
    std::error_code code;
    if (!std::filesystem::equivalent(arguments.image, output, code)) continue;
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{}: demo writes {} there and the picture would be lost; name another folder with -o",
                    arguments.image, name));
  }
}

bool IsThere(const std::string& name) {
  try {
    FindModel(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

double Agreement(const LabelImage& a, const LabelImage& b) {
  std::int64_t equal = 0;
  for (std::size_t i = 0; i < a.ids.size(); ++i) equal += a.ids[i] == b.ids[i];
  return static_cast<double>(equal) / static_cast<double>(std::max<std::size_t>(1, a.ids.size()));
}

int RunDemo(const DemoArguments& arguments) {
  const bool drawn = arguments.image.empty();
  if (!drawn && arguments.seed)
    throw Error(ErrorCode::kUsage, "--seed is of the drawn street; with a photo it does nothing");
  if (!drawn) CheckOutputs(arguments);
  const std::string name = !arguments.model.empty() ? arguments.model
                           : drawn                  ? "frfnet-slim-synth"
                                                    : "frfnet-camvid";
  Model model = LoadModel(name);
  const Scene seen = SceneFor(model.info.classes, arguments);
  const Sample& scene = seen.sample;

  const std::string numbers = model.info.weights == "int8" ? "int8" : "float32";
  std::vector<Shown> shown{Show(name, std::move(model), numbers, seen, arguments)};
  if (const std::string int8 = name + "-int8"; IsThere(int8))
    shown.push_back(Show(int8, LoadModel(int8), "int8", seen, arguments));
  const Shown& first = shown.front();
  const Classes& classes = first.classes;

  MakeFolder(arguments.output);
  const std::filesystem::path folder = arguments.output;
  const Image overlay = Overlay(scene.image, first.labels, classes);
  WritePng((folder / "input.png").string(), scene.image);
  WriteLabels((folder / "mask.png").string(), first.labels, &classes.palette);
  WritePng((folder / "overlay.png").string(), overlay);
  std::vector<std::pair<std::string, Image>> sheet{{"picture", scene.image}};
  if (seen.truth != nullptr) sheet.emplace_back("truth", Colorize(scene.labels, seen.truth->palette));
  for (const Shown& one : shown) {
    const double fps = 1000 / one.stats.median;
    sheet.emplace_back(fmt::format("{}: {:.{}f} fps{}", one.numbers, fps, fps < 10 ? 1 : 0,
                                   one.accuracy ? fmt::format(", {:.1f} % right", *one.accuracy * 100) : ""),
                       Colorize(one.labels, classes.palette));
  }
  WritePng((folder / "demo.png").string(), WithLegend(SideBySide(sheet), first.labels, classes));

  const int threads = arguments.threads > 0 ? arguments.threads : DefaultThreads();
  if (arguments.json) {
    const auto json_of = [&](const Shown& one) {
      return Json{{"model", one.name},
                  {"fps", 1000 / one.stats.median},
                  {"ms", ToJson(one.stats)},
                  {"runs", one.stats.runs},
                  {"repeatable", one.repeatable},
                  {"miou", one.miou ? Json(*one.miou) : Json(nullptr)},
                  {"pixel_accuracy", one.accuracy ? Json(*one.accuracy) : Json(nullptr)}};
    };
    Json result = json_of(first);
    result.update({{"size", fmt::format("{}x{}", scene.image.height, scene.image.width)},
                   {"threads", threads},
                   {"machine", ToJson(ThisMachine())},
                   {"outputs",
                    {(folder / "demo.png").string(), (folder / "overlay.png").string(),
                     (folder / "mask.png").string()}}});
    if (shown.size() > 1) {
      result["int8"] = json_of(shown[1]);
      result["int8"]["labels_equal"] = Agreement(first.labels, shown[1].labels);
    }
    PrintJson(result);
    return 0;
  }
  fmt::print(
      "{} labelled by {}, {}x{}, {}, {}\n",
      drawn ? fmt::format("a drawn street (seed {})", arguments.seed.value_or(kSeed)) : arguments.image, name,
      scene.image.height, scene.image.width, Counted(threads, "thread"), ThisMachine().cpu);
  for (const Shown& one : shown) {
    fmt::print("  {:<8} {:>6.1f} frames a second, {:.1f} ms a frame ({}){}\n", one.numbers,
               1000 / one.stats.median, one.stats.median,
               one.stats.runs > 1 ? fmt::format("median of {}, +-{:.1f}", one.stats.runs, one.stats.mad)
                                  : "of one frame",
               one.miou ? fmt::format(", {:.1f} % of pixels right, mean IoU {:.1f} %", *one.accuracy * 100,
                                      *one.miou * 100)
                        : "");
  }
  if (drawn && seen.truth == nullptr)
    fmt::print(
        "  not scored: its classes are neither CamVid's nor Cityscapes', which streets are drawn with\n");
  if (shown.size() > 1) {
    fmt::print("  int8 is {:.2f} times as fast and gives the same label on {:.2f} % of pixels\n",
               first.stats.median / shown[1].stats.median, Agreement(first.labels, shown[1].labels) * 100);
  }
  fmt::print("  look at {}, {} and {}\n", (folder / "demo.png").string(), (folder / "overlay.png").string(),
             (folder / "mask.png").string());
  if (drawn) fmt::print("  your own photo: frf demo PHOTO.jpg\n");
  return 0;
}

}  // namespace

void AddDemo(CLI::App& root, Action& action) {
  auto a = std::make_shared<DemoArguments>();
  CLI::App* app =
      root.add_subcommand("demo", "shipped weights, a picture in, a picture out, frames per second");
  app->add_option("image", a->image, "your own photo (PNG or JPEG); without one a street is drawn");
  app->add_option("-o,--output", a->output, "folder for the pictures");
  app->add_option(
      "-m,--model", a->model,
      "other weights (default: frfnet-slim-synth for the drawn street, frfnet-camvid for photos)");
  app->add_option("--seed", a->seed,
                  "of the drawn street (default: 10000009); below 10000000 it may have been trained on")
      ->check(AtLeastZero());
  app->add_option("--threads", a->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->footer(R"(Examples:
  frf demo                                      a drawn street; the pictures go into demo/
  frf demo photo.jpg -o out                     your own photo
  frf demo --seed 10000002 -m frfnet-camvid     another street, weights that learnt from photos)");
  app->callback([a, &action] { action = [a] { return RunDemo(*a); }; });
}

}  // namespace frf::cli
