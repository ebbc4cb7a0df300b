// SPDX-License-Identifier: Apache-2.0
// `frf demo [IMAGE]`: shipped weights, a picture in, a picture out, frames per second.
// Subtle: the drawn street's seed lies in the range that training never sees (10000000 and above).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/files.h"
#include "base/stats.h"
#include "base/system.h"
#include "cli/cli.h"
#include "data/synth.h"
#include "engine/segmenter.h"
#include "image/image_io.h"
#include "image/transform.h"
#include "metrics/confusion.h"

namespace frf::cli {
namespace {

struct DemoArguments {
  std::string image, output = "demo", model;
  std::uint64_t seed = 10'000'007;
  int threads = 0;
  bool json = false;
};

// Pictures beside each other with a caption above each.
Image SideBySide(const std::vector<std::pair<std::string, Image>>& pictures) {
  constexpr int kGap = 8, kCaption = 24;
  constexpr Color kPaper{24, 26, 30}, kInk{232, 234, 238};  // as the legend's
  Image sheet{.height = 0, .width = -kGap, .channels = 3};
  for (const auto& [caption, picture] : pictures) {
    sheet.height = std::max(sheet.height, picture.height + kCaption);
    sheet.width += picture.width + kGap;
  }
  for (std::size_t i = 0; i < sheet.bytes(); ++i) sheet.pixels.push_back(kPaper[i % 3]);
  int left = 0;
  for (const auto& [caption, picture] : pictures) {
    const int scale = TextWidth(caption, 2) + 12 <= picture.width ? 2 : 1;
    DrawText(sheet, left + 6, (kCaption - kTextHeight * scale) / 2, caption, kInk, scale);
    for (int y = 0; y < picture.height; ++y) {
      std::copy_n(picture.at(y, 0), static_cast<std::size_t>(picture.width) * 3, sheet.at(y + kCaption, left));
    }
    left += picture.width + kGap;
  }
  return sheet;
}

int RunDemo(const DemoArguments& arguments) {
  const bool drawn = arguments.image.empty();
  const std::string name = !arguments.model.empty() ? arguments.model : drawn ? "frfnet-slim-synth" : "frfnet-camvid";
  Segmenter segmenter(LoadModel(name), {.threads = arguments.threads});
  Sample scene;
  if (drawn) scene = DrawScene(arguments.seed, {.height = 360, .width = 480});
  else scene.image = ReadImage(arguments.image);

  const LabelImage labels = segmenter.Run(scene.image.view());
  // Verified first, timed afterwards: at least five frames, at most about 1.5 seconds.
  std::vector<double> times;
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds_since = [](auto start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  bool same = true;
  while (times.size() < 5 || (times.size() < 100 && seconds_since(begin) < 1.0)) {
    const auto start = std::chrono::steady_clock::now();
    const LabelImage again = segmenter.Run(scene.image.view());
    times.push_back(seconds_since(start) * 1000);
    same = same && again.ids == labels.ids;
    if (seconds_since(begin) > 3.0) break;
  }
  const TimingStats stats = Summarize(times);
  const Classes& classes = segmenter.info().classes;

  MakeFolder(arguments.output);
  const std::filesystem::path folder = arguments.output;
  const Image overlay = Overlay(scene.image, labels, classes);
  WritePng((folder / "input.png").string(), scene.image);
  WriteLabels((folder / "mask.png").string(), labels, &classes.palette);
  WritePng((folder / "overlay.png").string(), overlay);
  std::optional<double> miou;
  if (drawn) {
    ConfusionMatrix matrix(classes.count());
    matrix.Add(scene.labels, labels);
    miou = matrix.MeanIou();
  }
  std::vector<std::pair<std::string, Image>> sheet{{"picture", scene.image}};
  sheet.emplace_back(miou ? fmt::format("labels, mean IoU {:.1f} %", *miou * 100) : "labels", Colorize(labels, classes.palette));
  if (drawn) sheet.emplace_back("truth", Colorize(scene.labels, classes.palette));
  WritePng((folder / "demo.png").string(), WithLegend(SideBySide(sheet), labels, classes));

  const int threads = arguments.threads > 0 ? arguments.threads : DefaultThreads();
  if (arguments.json) {
    PrintJson({{"model", name}, {"size", fmt::format("{}x{}", scene.image.height, scene.image.width)}, {"fps", stats.runs / stats.total * 1000},
               {"ms", ToJson(stats)}, {"runs", stats.runs}, {"threads", threads}, {"repeatable", same}, {"miou", miou ? Json(*miou) : Json(nullptr)},
               {"machine", ToJson(ThisMachine())}, {"outputs", {(folder / "demo.png").string(), (folder / "overlay.png").string(), (folder / "mask.png").string()}}});
    return 0;
  }
  fmt::print("{} labelled by {}\n", drawn ? fmt::format("a drawn street (seed {})", arguments.seed) : arguments.image, name);
  if (miou) fmt::print("  mean IoU {:.1f} % against the drawing's exact labels\n", *miou * 100);
  fmt::print("  {:.1f} frames a second at {}x{}: {:.1f} ms a frame (median of {}, +-{:.1f}), {} threads, {}\n", stats.runs / stats.total * 1000,
             scene.image.height, scene.image.width, stats.median, stats.runs, stats.mad, threads, ThisMachine().cpu);
  fmt::print("  look at {}, {} and {}\n", (folder / "demo.png").string(), (folder / "overlay.png").string(), (folder / "mask.png").string());
  if (drawn) fmt::print("  your own photo: frf demo PHOTO.jpg\n");
  return 0;
}

}  // namespace

void AddDemo(CLI::App& root, Action& action) {
  auto a = std::make_shared<DemoArguments>();
  CLI::App* app = root.add_subcommand("demo", "shipped weights, a picture in, a picture out, frames per second");
  app->add_option("image", a->image, "your own photo (PNG or JPEG); without one a street is drawn");
  app->add_option("-o,--output", a->output, "folder for the pictures");
  app->add_option("-m,--model", a->model, "other weights (default: frfnet-slim-synth for the drawn street, frfnet-camvid for photos)");
  app->add_option("--seed", a->seed, "of the drawn street; below 10000000 it may have been trained on");
  app->add_option("--threads", a->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->callback([a, &action] { action = [a] { return RunDemo(*a); }; });
}

}  // namespace frf::cli
