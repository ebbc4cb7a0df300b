// SPDX-License-Identifier: Apache-2.0
// `frf segment IN... -o OUT`: label images, one by one or whole folders. For each input an id mask, a colour mask and an
// overlay with a legend, all at the input's own size.
// Subtle: one bad file does not stop the others; it is named on standard error and the exit code is 1 at the end.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stats.h"
#include "cli/cli.h"
#include "engine/segmenter.h"
#include "frf/error.h"
#include "image/image_io.h"

namespace frf::cli {
namespace {

namespace fs = std::filesystem;

struct SegmentArguments {
  std::vector<std::string> inputs;
  std::string model = "frfnet-camvid", output = "out", write = "mask,color,overlay", size, shard, ids = "label";
  int threads = 0;
  double opacity = 0.55;
  std::uint64_t max_memory_mb = 0;
  bool json = false;
};

struct Job {
  std::string input;
  std::string stem;  // output path without ending, relative to the output folder
};

void AddFolder(const fs::path& folder, std::vector<Job>& jobs) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
    if (entry.is_regular_file() && LooksLikeImageFile(entry.path().string())) found.push_back(entry.path());
  }
  if (found.empty()) throw Error(ErrorCode::kNotFound, fmt::format("{}: no PNG or JPEG files in this folder", folder.string()));
  std::sort(found.begin(), found.end());
  for (const auto& path : found) jobs.push_back({path.string(), fs::relative(path, folder).replace_extension().string()});
}

std::vector<Job> ListJobs(const SegmentArguments& arguments) {
  std::vector<Job> jobs;
  for (const auto& input : arguments.inputs) {
    // A folder called "x.png" is searched like any other folder.
    std::error_code unreadable;  // a link to itself, say: reading it as a file gives the error that names it
    if (fs::is_directory(input, unreadable)) AddFolder(input, jobs);
    else jobs.push_back({input, fs::path(input).stem().string()});
  }
  std::set<std::string> taken;
  for (Job& job : jobs) {
    std::string stem = job.stem;
    for (int n = 2; !taken.insert(stem).second; ++n) stem = fmt::format("{}_{}", job.stem, n);
    job.stem = stem;
  }
  const auto [index, count] = ParseShard(arguments.shard);
  std::vector<Job> mine;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (static_cast<int>(i % count) == index) mine.push_back(jobs[i]);
  }
  return mine;
}

class Outputs {
 public:
  Outputs(const SegmentArguments& arguments, const Classes& classes)
      : arguments_(arguments), classes_(classes), mask_(Wanted("mask")), color_(Wanted("color")), overlay_(Wanted("overlay")) {}

  Json Write(const Job& job, const Image& image, const LabelImage& labels) const {
    const fs::path stem = fs::path(arguments_.output) / job.stem;
    MakeFolder(stem.parent_path());
    Json outputs = Json::object();
    const auto path = [&](const char* kind, const char* suffix) {
      const std::string name = stem.string() + suffix;
      outputs[kind] = name;
      return name;
    };
    if (mask_) {
      WriteLabels(path("mask", "_mask.png"), arguments_.ids == "label" ? ToLabelIds(labels, classes_) : labels,
                  classes_.label_ids.empty() || arguments_.ids != "label" ? &classes_.palette : nullptr);
    }
    if (color_) WritePng(path("color", "_color.png"), Colorize(labels, classes_.palette));
    if (overlay_) {
      OverlayOptions options;
      options.opacity = arguments_.opacity;
      WritePng(path("overlay", "_overlay.png"), Overlay(image, labels, classes_, options));
    }
    return outputs;
  }

 private:
  bool Wanted(const std::string& kind) const {
    for (const auto& word : CLI::detail::split(arguments_.write, ',')) {
      if (word == kind) return true;
      if (word != "mask" && word != "color" && word != "overlay") {
        throw Error(ErrorCode::kUsage, fmt::format("--write '{}': mask, color and overlay, comma-separated, are known", word));
      }
    }
    return false;
  }
  const SegmentArguments& arguments_;
  const Classes& classes_;
  bool mask_, color_, overlay_;
};

int RunSegment(const SegmentArguments& arguments) {
  const std::vector<Job> jobs = ListJobs(arguments);
  SegmenterOptions options{.threads = arguments.threads, .max_memory = arguments.max_memory_mb << 20};
  if (!arguments.size.empty()) std::tie(options.height, options.width) = ParseSize(arguments.size, "--size");
  Segmenter segmenter(LoadModel(arguments.model), options);
  const Outputs outputs(arguments, segmenter.info().classes);
  MakeFolder(arguments.output);

  Json files = Json::array();
  std::vector<double> times;
  int failed = 0;
  Progress progress("segment", static_cast<std::int64_t>(jobs.size()));
  for (const Job& job : jobs) {
    Json entry{{"input", job.input}};
    Image image;
    LabelImage labels;
    try {
      image = ReadImage(job.input);
      const auto start = std::chrono::steady_clock::now();
      labels = segmenter.Run(image.view());
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    } catch (const Error& error) {
      LogError(error.what());
      entry["error"] = error.what();
      ++failed;
    }
    // Outside: what cannot be written ends the run, since the next picture would fail too.
    if (!entry.contains("error")) {
      entry["outputs"] = outputs.Write(job, image, labels);
      entry["ms"] = times.back();
    }
    files.push_back(entry);
    progress.Advance();
  }
  ClearProgressLine();
  if (arguments.json) {
    PrintJson({{"model", arguments.model}, {"files", files}});
  } else if (!times.empty()) {
    const TimingStats stats = Summarize(times);
    fmt::print("{} image{} labelled by {} into {}/: {:.1f} ms a frame (median, +-{:.1f}), reading and writing not counted\n", times.size(),
               times.size() == 1 ? "" : "s", arguments.model, arguments.output, stats.median, stats.mad);
  }
  if (failed > 0) LogError(fmt::format("{} of {} images failed", failed, jobs.size()));
  return failed > 0 ? 1 : 0;
}

}  // namespace

void AddSegment(CLI::App& root, Action& action) {
  auto arguments = std::make_shared<SegmentArguments>();
  CLI::App* app = root.add_subcommand("segment", "label images: id mask, colour mask and overlay for each");
  app->add_option("inputs", arguments->inputs, "PNG or JPEG files, or folders of them (searched recursively)")->required();
  app->add_option("-o,--output", arguments->output, "folder for the results; the input's sub-folders are kept");
  app->add_option("-m,--model", arguments->model, "ONNX file, run folder, or name of shipped weights");
  app->add_option("--write", arguments->write, "which files: mask (class ids), color, overlay");
  app->add_option("--ids", arguments->ids, "ids in masks: label (as the data set's label files hold them) or class (0..n-1)")
      ->check(CLI::IsMember({"label", "class"}));
  app->add_option("--size", arguments->size, "network input size HEIGHTxWIDTH (default: as the model was trained)");
  app->add_option("--opacity", arguments->opacity, "of the class colours in overlays")->check(CLI::Range(0.0, 1.0));
  app->add_option("--threads", arguments->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_option("--shard", arguments->shard, "I/N: label only every N-th image from the I-th (default: Slurm's or Kubernetes' job index)");
  app->add_option("--max-memory", arguments->max_memory_mb, "MiB that a frame may need; 0: half of RAM");
  app->add_flag("--json", arguments->json, "one JSON document on standard output");
  app->footer("Example: frf segment drive/ -o labelled --write mask,overlay");
  app->callback([arguments, &action] { action = [arguments] { return RunSegment(*arguments); }; });
}

}  // namespace frf::cli
