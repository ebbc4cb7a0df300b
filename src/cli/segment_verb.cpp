// SPDX-License-Identifier: Apache-2.0
// `frf segment IN... -o OUT`: label images, one by one or whole folders, and videos (segment_video.cpp). For
// each input an id mask, a colour mask and an overlay with a legend, all at the input's own size. Subtle: one
// bad file does not stop the others; it is named on standard error and the exit code is 1 at the end. Ctrl-C
// ends behind the picture at hand, whose files are then whole, and what was done is reported.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "base/log.h"
#include "base/named.h"
#include "base/progress.h"
#include "base/stats.h"
#include "base/stop_signal.h"
#include "cli/cli.h"
#include "cli/segment.h"
#include "engine/session.h"
#include "frf/error.h"
#include "image/image_io.h"

namespace frf::cli {
namespace {

namespace fs = std::filesystem;

Json WritePicture(const SegmentArguments& arguments, const Classes& classes, const Job& job,
                  const Image& image, const LabelImage& labels) {
  const std::map<std::string, std::string> outputs = OutputsOf(arguments, job);
  for (const auto& [kind, path] : outputs) {
    if (fs::path(path).has_parent_path()) MakeFolder(fs::path(path).parent_path());
    if (kind == "mask")
      WriteMask(path, labels, classes, arguments);
    else if (kind == "color")
      WriteImage(path, Colorize(labels, classes.palette));
    else
      WriteImage(path, Overlay(image, labels, classes,
                               {.opacity = arguments.opacity, .legend = !arguments.no_legend}));
  }
  return outputs;
}

// One picture's entry of the report; its time is added to `times`. `ends`: the rest would fail as well.
Json SegmentPicture(const SegmentArguments& arguments, const Job& job, Segmenter& segmenter,
                    std::vector<double>& times, bool& ends) {
  Json entry{{"input", job.input}};
  if (!job.error.empty()) {
    entry["error"] = job.error;
    return entry;
  }
  Image image;
  LabelImage labels;
  double ms = 0;
  try {
    image = ReadImage(job.input);
    const auto start = std::chrono::steady_clock::now();
    labels = Named(job.input, [&] { return segmenter.Run(image.view()); });
    ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  } catch (const Error& error) {
    entry["error"] = error.what();
    return entry;
  }
  try {
    entry["outputs"] = WritePicture(arguments, segmenter.info().classes, job, image, labels);
    entry["ms"] = ms;
    times.push_back(ms);
  } catch (const Error& error) {
    entry["error"] = error.what();
    // Not the name's fault: the next picture would fail too, on a full disk say.
    if (error.code() != ErrorCode::kInvalidArgument) ends = true;
  }
  return entry;
}

int RunSegment(const SegmentArguments& arguments) {
  const std::vector<Job> jobs = ListJobs(arguments);
  SegmenterOptions options{.threads = arguments.threads,
                           .max_memory = arguments.max_memory_mb << 20,
                           .precision = PrecisionNamed(arguments.precision)};
  if (!arguments.size.empty()) std::tie(options.height, options.width) = ParseSize(arguments.size, "--size");
  Segmenter segmenter(LoadModel(arguments.model), options);

  Json files = Json::array();
  std::vector<double> times;
  std::size_t failed = 0;
  Progress progress("segment", static_cast<std::int64_t>(jobs.size()));
  const StopSignal signals;
  for (const Job& job : jobs) {
    if (StopSignal::Requested()) break;
    bool ends = false;
    Json entry = job.video ? SegmentVideo(arguments, job, segmenter)
                           : SegmentPicture(arguments, job, segmenter, times, ends);
    const bool interrupted = entry.contains("interrupted");
    if (entry.contains("error")) LogError(entry["error"]);
    failed += entry.contains("error") || interrupted;
    files.push_back(std::move(entry));
    if (interrupted || ends) break;
    if (!job.video) progress.Advance();
  }
  ClearProgressLine();
  if (arguments.json) {
    PrintJson({{"model", arguments.model}, {"classes", segmenter.info().classes.names}, {"files", files}});
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
  const bool stopped = files.size() < jobs.size();
  if (stopped)
    LogWarning(fmt::format("stopped after {} of {} inputs; what was labelled by then is written",
                           files.size(), jobs.size()));
  else if (failed > 0 && jobs.size() > 1)
    LogError(fmt::format("{} of {} inputs failed", failed, jobs.size()));
  return failed > 0 || stopped ? 1 : 0;
}

}  // namespace

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
                                        "folder for the results, the input's sub-folders are kept (of a.jpg "
                                        "and a.png one gives a_*, the other a_2_*); or one "
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
      ->check(Between(0.0, 1.0));
  app->add_flag("--no-legend", arguments->no_legend, "overlays without names of classes");
  app->add_option("--threads", arguments->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_option("--shard", arguments->shard,
                  "I/N: label only every N-th image from the I-th (default: where a folder or several inputs "
                  "are named, what "
                  "Slurm's or Kubernetes' job says, docs/deploy.md)");
  app->add_option("--precision", arguments->precision,
                  "of convolutions: f32; bf16 or f16, faster where the CPU has them (docs/deploy.md)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_option("--max-memory", arguments->max_memory_mb, "MiB that a frame may need; 0: half of RAM")
      ->check(Mebibytes());
  app->add_flag("--json", arguments->json, "one JSON document on standard output");
  app->add_option("--camera", arguments->camera,
                  "label a camera until Ctrl-C: 0 for /dev/video0, a device, or an address (rtsp://...); "
                  "frames are dropped, and counted, where it outruns the machine")
      ->check(CLI::Validator([](const std::string& text) { return text.empty() ? "it is empty" : ""; },
                             "CAMERA"));
  app->add_option("--camera-size", arguments->camera_size,
                  "HEIGHTxWIDTH wanted of the camera (default: as it likes)");
  app->add_option("--camera-rate", arguments->camera_rate,
                  "frames a second wanted of the camera; 0: as it likes")
      ->check(Between(0.0, 1000.0));
  app->add_option("--camera-format", arguments->camera_format,
                  "what the camera is to send, for instance mjpeg (default: as it likes)");
  app->add_option("--frames", arguments->frames, "of a video or camera, read at most so many; 0: all")
      ->check(AtLeastZero());
  app->footer(R"(
Examples:
  frf segment street.jpg -o labelled.png                  the classes over the picture
  frf segment drive/ -o labelled --write mask,overlay     every picture of a folder
  frf segment clip.mp4 -o out.mp4                         a video with the classes over the picture; size and times are kept
  frf segment clip.mp4 -o out.mp4 --write color           the class colours alone
  frf segment clip.mp4 -o labelled --write mask           labelled/clip_mask/000000.png ..., and times.csv
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
