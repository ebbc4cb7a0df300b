// SPDX-License-Identifier: Apache-2.0
// `frf segment IN... -o OUT`: label images, one by one or whole folders, and videos (segment_video.cpp). For
// each input an id mask, a colour mask and an overlay with a legend, all at the input's own size. Subtle: one
// bad file does not stop the others; it is named on standard error and the exit code is 1 at the end.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <string_view>

#include "base/files.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/stats.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/segment.h"
#include "engine/session.h"
#include "frf/error.h"
#include "image/image_io.h"
#include "video/video.h"

namespace frf::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMaskEnding = "_mask.png", kColorEnding = "_color.png",
                           kOverlayEnding = "_overlay.png";

bool LooksLikeResult(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(kMaskEnding) || name.ends_with(kColorEnding) || name.ends_with(kOverlayEnding);
}

// What an earlier call wrote there is no input: the output folder, where it lies inside, and names that
// results have.
void AddFolder(const fs::path& folder, const fs::path& output, std::vector<Job>& jobs) {
  std::vector<fs::path> found;
  std::size_t results = 0;
  std::error_code missing;  // an output folder that is not there yet holds nothing
  const bool nested = !fs::equivalent(folder, output, missing);
  for (auto it = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied);
       it != fs::end(it); ++it) {
    if (nested && it->is_directory(missing) && fs::equivalent(it->path(), output, missing))
      it.disable_recursion_pending();
    else if (!it->is_regular_file() || !LooksLikeImageFile(it->path().string()))
      continue;
    else if (LooksLikeResult(it->path()))
      ++results;
    else
      found.push_back(it->path());
  }
  const std::string passed_over = results == 0
                                      ? ""
                                      : fmt::format("{} named like results (*{}, *{}, *{}) passed over",
                                                    results, kMaskEnding, kColorEnding, kOverlayEnding);
  if (found.empty()) {
    throw Error(ErrorCode::kNotFound, fmt::format("{}: no PNG or JPEG files in this folder{}{}",
                                                  folder.string(), results > 0 ? "; " : "", passed_over));
  }
  if (results > 0) LogInfo(fmt::format("{}: {}", folder.string(), passed_over));
  std::sort(found.begin(), found.end());
  for (const auto& path : found)
    jobs.push_back({path.string(), fs::relative(path, folder).replace_extension().string()});
}

// "camera0" for 0, "video2" for /dev/video2, "camera" for an address.
Job CameraJob(const std::string& camera) {
  const bool number = camera.find_first_not_of("0123456789") == std::string::npos;
  std::string stem = number                                    ? "camera" + camera
                     : camera.find("://") != std::string::npos ? "camera"
                                                               : fs::path(camera).stem().string();
  return {.input = camera, .stem = stem, .video = true, .camera = true};
}

std::vector<Job> ListJobs(const SegmentArguments& arguments) {
  std::vector<Job> jobs;
  for (const auto& input : arguments.inputs) {
    // A folder called "x.png" is searched like any other folder.
    std::error_code unreadable;  // a link to itself, say: reading it as a file gives the error that names it
    if (fs::is_directory(input, unreadable))
      AddFolder(input, arguments.output, jobs);
    else
      jobs.push_back({input, fs::path(input).stem().string(), LooksLikeVideoFile(input)});
  }
  if (!arguments.camera.empty()) jobs.push_back(CameraJob(arguments.camera));
  if (jobs.empty())
    throw Error(ErrorCode::kUsage,
                "segment: images, folders or videos are wanted, or --camera; see frf segment --help");
  std::set<std::string> taken;
  for (Job& job : jobs) {
    std::string stem = job.stem;
    for (int n = 2; !taken.insert(stem).second; ++n) stem = fmt::format("{}_{}", job.stem, n);
    job.stem = stem;
  }
  if (arguments.output_is_video() && (jobs.size() > 1 || !jobs[0].video)) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("-o {}: one video or camera gives a video, {} given; name a folder", arguments.output,
                    jobs.size() > 1 ? fmt::format("{} inputs are", jobs.size()) : "a picture is"));
  }
  if (arguments.output_is_picture() && (jobs.size() > 1 || jobs[0].video)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("-o {}: one picture gives a picture, {} given; name a folder", arguments.output,
                            jobs.size() > 1 ? fmt::format("{} inputs are", jobs.size()) : "a video is"));
  }
  const auto [index, count] = ParseShard(arguments.shard);
  std::vector<Job> mine;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (static_cast<int>(i % count) == index) mine.push_back(jobs[i]);
  }
  return mine;
}

// The one kind that `-o out.png` holds: the overlay unless --write names another.
std::string KindOfPicture(const SegmentArguments& arguments) {
  const std::string kind = arguments.write_given ? arguments.write : "overlay";
  if (kind.find(',') != std::string::npos) {
    throw Error(ErrorCode::kUsage,
                fmt::format("-o {} is one picture, --write {} are several; name a folder or one kind",
                            arguments.output, kind));
  }
  if (kind == "mask" && CLI::detail::to_lower(fs::path(arguments.output).extension().string()) != ".png") {
    throw Error(ErrorCode::kUsage,
                fmt::format("-o {}: masks are PNG: JPEG changes the ids it stores", arguments.output));
  }
  return kind;
}

Json WritePicture(const SegmentArguments& arguments, const Classes& classes, const Job& job,
                  const Image& image, const LabelImage& labels) {
  const bool one_file = arguments.output_is_picture();
  const std::string only = one_file ? KindOfPicture(arguments) : "";
  const fs::path stem = one_file ? fs::path(arguments.output) : fs::path(arguments.output) / job.stem;
  if (stem.has_parent_path()) MakeFolder(stem.parent_path());
  Json outputs = Json::object();
  const auto wants = [&](const char* kind) { return one_file ? only == kind : arguments.Wants(kind); };
  const auto path = [&](const char* kind, std::string_view ending) {
    const std::string name = one_file ? arguments.output : stem.string() + std::string(ending);
    outputs[kind] = name;
    return name;
  };
  if (wants("mask")) WriteMask(path("mask", kMaskEnding), labels, classes, arguments);
  if (wants("color")) WriteImage(path("color", kColorEnding), Colorize(labels, classes.palette));
  if (wants("overlay")) {
    WriteImage(
        path("overlay", kOverlayEnding),
        Overlay(image, labels, classes, {.opacity = arguments.opacity, .legend = !arguments.no_legend}));
  }
  return outputs;
}

// One picture's entry of the report; its time is added to `times`.
Json SegmentPicture(const SegmentArguments& arguments, const Job& job, Segmenter& segmenter,
                    std::vector<double>& times) {
  Json entry{{"input", job.input}};
  Image image;
  LabelImage labels;
  try {
    image = ReadImage(job.input);
    const auto start = std::chrono::steady_clock::now();
    labels = segmenter.Run(image.view());
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  } catch (const Error& error) {
    // What the network refuses, too little memory say, does not know its picture's name.
    entry["error"] =
        image.pixels.empty() ? error.what() : fmt::format("{}: {}", Printable(job.input, 400), error.what());
    return entry;
  }
  // Outside: what cannot be written ends the run, since the next picture would fail too.
  entry["outputs"] = WritePicture(arguments, segmenter.info().classes, job, image, labels);
  entry["ms"] = times.back();
  return entry;
}

int RunSegment(const SegmentArguments& arguments) {
  const std::vector<Job> jobs = ListJobs(arguments);
  SegmenterOptions options{.threads = arguments.threads,
                           .max_memory = arguments.max_memory_mb << 20,
                           .precision = PrecisionNamed(arguments.precision)};
  if (!arguments.size.empty()) std::tie(options.height, options.width) = ParseSize(arguments.size, "--size");
  Segmenter segmenter(LoadModel(arguments.model), options);
  (void)arguments.Wants("");  // unknown words, before any work is done
  if (arguments.output_is_picture()) (void)KindOfPicture(arguments);

  Json files = Json::array();
  std::vector<double> times;
  std::size_t failed = 0;
  Progress progress("segment", static_cast<std::int64_t>(jobs.size()));
  for (const Job& job : jobs) {
    Json entry = job.video ? SegmentVideo(arguments, job, segmenter)
                           : SegmentPicture(arguments, job, segmenter, times);
    const bool interrupted = entry.contains("interrupted");
    if (entry.contains("error")) LogError(entry["error"]);
    failed += entry.contains("error") || interrupted;
    files.push_back(std::move(entry));
    if (interrupted) break;
    if (!job.video) progress.Advance();
  }
  ClearProgressLine();
  if (arguments.json) {
    PrintJson({{"model", arguments.model}, {"files", files}});
  } else if (!times.empty()) {
    const TimingStats stats = Summarize(times);
    const std::string target = arguments.output + (arguments.output_is_picture() ? "" : "/");
    if (times.size() == 1) {
      fmt::print(
          "1 image labelled by {} into {}: {:.1f} ms, of which planning for its size is a part; frf bench "
          "times frames\n",
          arguments.model, target, times[0]);
    } else {
      fmt::print(
          "{} images labelled by {} into {}: {:.1f} ms a frame (median, +-{:.1f}), reading and writing not "
          "counted\n",
          times.size(), arguments.model, target, stats.median, stats.mad);
    }
  }
  if (failed > 0 && jobs.size() > 1) LogError(fmt::format("{} of {} inputs failed", failed, jobs.size()));
  return failed > 0 ? 1 : 0;
}

}  // namespace

bool SegmentArguments::Wants(const std::string& kind) const {
  bool wanted = false;
  for (const auto& word : CLI::detail::split(write, ',')) {
    if (word != "mask" && word != "color" && word != "overlay") {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--write '{}': mask, color and overlay, comma-separated, are known", word));
    }
    wanted |= word == kind;
  }
  return wanted;
}

bool SegmentArguments::output_is_video() const {
  std::error_code unreadable;
  return LooksLikeVideoFile(output) && !fs::is_directory(output, unreadable);
}

bool SegmentArguments::output_is_picture() const {
  std::error_code unreadable;
  return LooksLikeImageFile(output) && !fs::is_directory(output, unreadable);
}

void WriteMask(const std::string& path, const LabelImage& labels, const Classes& classes,
               const SegmentArguments& arguments) {
  const bool mapped = arguments.ids == "label" && !classes.label_ids.empty();
  if (mapped)
    WriteLabels(path, ToLabelIds(labels, classes));
  else
    WriteLabels(path, labels, &classes.palette);
}

void AddSegment(CLI::App& root, Action& action) {
  auto arguments = std::make_shared<SegmentArguments>();
  CLI::App* app = root.add_subcommand(
      "segment", "label images, videos, a camera: id mask, colour mask and overlay for each");
  app->add_option(
      "inputs", arguments->inputs,
      "PNG or JPEG files, folders of them (searched recursively), or videos (mp4, mov, mkv, avi ...)");
  CLI::Option* output = app->add_option("-o,--output", arguments->output,
                                        "folder for the results, the input's sub-folders are kept; or one "
                                        "file: out.png for one picture, out.mp4 for one video or camera");
  app->add_option("-m,--model", arguments->model, "ONNX file, run folder, or name of shipped weights");
  CLI::Option* write = app->add_option("--write", arguments->write,
                                       "which files: mask (class ids; a video's are a folder of PNGs), "
                                       "color, overlay; -o out.png takes one, -o out.mp4 overlay or color");
  app->add_option("--ids", arguments->ids,
                  "ids in masks: label (as the data set's label files hold them) or class (0..n-1)")
      ->check(CLI::IsMember({"label", "class"}));
  app->add_option("--size", arguments->size,
                  "network input size HEIGHTxWIDTH (default: as the model was trained)");
  app->add_option("--opacity", arguments->opacity, "of the class colours in overlays")
      ->check(CLI::Range(0.0, 1.0));
  app->add_flag("--no-legend", arguments->no_legend, "overlays without names of classes");
  app->add_option("--threads", arguments->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_option(
      "--shard", arguments->shard,
      "I/N: label only every N-th image from the I-th (default: Slurm's or Kubernetes' job index)");
  app->add_option("--precision", arguments->precision,
                  "of convolutions: f32; bf16 or f16, faster where the CPU has them (docs/deploy.md)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_option("--max-memory", arguments->max_memory_mb, "MiB that a frame may need; 0: half of RAM")
      ->check(CLI::NonNegativeNumber);
  app->add_flag("--json", arguments->json, "one JSON document on standard output");
  app->add_option("--camera", arguments->camera,
                  "label a camera until Ctrl-C: 0 for /dev/video0, a device, or an address (rtsp://...); "
                  "frames are dropped, and counted, where it outruns the machine");
  app->add_option("--camera-size", arguments->camera_size,
                  "HEIGHTxWIDTH wanted of the camera (default: as it likes)");
  app->add_option("--camera-rate", arguments->camera_rate,
                  "frames a second wanted of the camera; 0: as it likes")
      ->check(CLI::Range(0.0, 1000.0));
  app->add_option("--camera-format", arguments->camera_format,
                  "what the camera is to send, for instance mjpeg (default: as it likes)");
  app->add_option("--frames", arguments->frames, "of a video or camera, read at most so many; 0: all")
      ->check(CLI::NonNegativeNumber);
  app->footer(R"(
Examples:
  frf segment street.jpg -o labelled.png                  the classes over the picture
  frf segment drive/ -o labelled --write mask,overlay     every picture of a folder
  frf segment clip.mp4 -o out.mp4                         a video with the classes over the picture; size and times are kept
  frf segment clip.mp4 -o out.mp4 --write color           the class colours alone
  frf segment clip.mp4 -o labelled --write mask           labelled/clip_mask/000000.png ...
  frf segment --camera 0 -o drive.mp4                     until Ctrl-C; without -o it is only timed
  frf segment --camera 0 --camera-size 720x1280 --camera-format mjpeg
A file's frames all arrive. More: docs/video.md)");
  app->callback([arguments, output, write, &action] {
    arguments->output_given = output->count() > 0;
    arguments->write_given = write->count() > 0;
    action = [arguments] { return RunSegment(*arguments); };
  });
}

}  // namespace frf::cli
