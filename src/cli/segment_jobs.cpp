// SPDX-License-Identifier: Apache-2.0
// What `frf segment` is to do: its inputs one by one, the files that each becomes, and what is refused before
// any work. Subtle: a result that takes an input's place would destroy it without a word, so files are
// compared by device and number (FileSet).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>

#include "base/log.h"
#include "base/plural.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/segment.h"
#include "cli/video_outputs.h"
#include "frf/error.h"
#include "image/image_io.h"
#include "video/video.h"

namespace frf::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMaskEnding = "_mask.png", kColorEnding = "_color.png",
                           kOverlayEnding = "_overlay.png";
constexpr std::string_view kMasksEnding = "_mask";  // of the folder with a video's masks

// `inside`: the folder that it stands in is not the one that was named but was found in it.
bool LooksLikeResult(const fs::path& path, bool inside) {
  const std::string name = path.filename().string();
  const bool of_video =
      inside && path.parent_path().filename().string().ends_with(kMasksEnding) && IsMaskName(path);
  return of_video || name.ends_with(kMaskEnding) || name.ends_with(kColorEnding) ||
         name.ends_with(kOverlayEnding);
}

// What is in the way of looking into a folder; "" where nothing is.
std::string Barred(const fs::path& folder) {
  if (::access(folder.c_str(), R_OK | X_OK) == 0) return "";
  return fmt::format("{}: cannot look into this folder: {}", folder.string(), std::strerror(errno));
}

// A link to nothing counts as a file: reading it gives the error that names it.
bool IsFileOrLostLink(const fs::file_status& status) {
  return status.type() == fs::file_type::regular || status.type() == fs::file_type::not_found ||
         status.type() == fs::file_type::none;
}

// What an earlier call wrote there is no input: the output folder, where it lies inside, and names that
// results have. A folder in it that cannot be looked into is an input that fails, so that its pictures are
// not missing without a word.
void AddFolder(const fs::path& folder, const fs::path& output, std::vector<Job>& jobs) {
  if (const std::string barred = Barred(folder); !barred.empty()) throw Error(ErrorCode::kIo, barred);
  std::vector<fs::path> found;
  std::vector<std::string> others;
  std::size_t results = 0, links = 0;
  bool any_barred = false;
  std::error_code missing;  // an output folder that is not there yet holds nothing
  const bool nested = !fs::equivalent(folder, output, missing);
  for (auto it = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied);
       it != fs::end(it); ++it) {
    std::error_code code;  // a link to itself has no status
    const fs::file_status status = it->status(code);
    if (fs::is_directory(status)) {
      if (nested && fs::equivalent(it->path(), output, missing)) {
        it.disable_recursion_pending();
      } else if (it->is_symlink(code)) {
        ++links;  // not followed: it may lead back here
      } else {
        const std::string path = it->path().string(), barred = Barred(path);
        if (barred.empty()) continue;
        jobs.push_back({.input = path, .stem = path, .error = barred});
        any_barred = true;
      }
    } else if (!IsFileOrLostLink(status)) {
      continue;
    } else if (!LooksLikeImageFile(it->path().string())) {
      if (LooksLikeOtherPicture(it->path().string())) others.push_back(it->path().string());
    } else if (LooksLikeResult(it->path(), it.depth() > 0)) {
      ++results;
    } else {
      found.push_back(it->path());
    }
  }
  std::string passed_over =
      results == 0 ? ""
                   : fmt::format("{} named like results (*{}, *{}, *{}, *{}/000000.png) passed over", results,
                                 kMaskEnding, kColorEnding, kOverlayEnding, kMasksEnding);
  if (links > 0) {
    passed_over +=
        fmt::format("{}{} to folders not followed; name {} to label what is there",
                    passed_over.empty() ? "" : "; ", Counted(links, "link"), links == 1 ? "it" : "them");
  }
  const std::string left_out = OtherFormatsLeftOut(others);
  if (found.empty() && !any_barred) {
    std::string why;
    for (const std::string& part : {passed_over, left_out})
      if (!part.empty()) why += "; " + part;
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: no PNG or JPEG files in this folder{}", folder.string(), why));
  }
  if (!left_out.empty()) LogWarning(fmt::format("{}: {}", folder.string(), left_out));
  if (!passed_over.empty()) LogInfo(fmt::format("{}: {}", folder.string(), passed_over));
  std::sort(found.begin(), found.end());
  // By the names alone: a link's target lies elsewhere, its results belong beside the others'.
  for (const auto& path : found)
    jobs.push_back({path.string(), path.lexically_relative(folder).replace_extension().string()});
}

// "camera0" for 0, "video2" for /dev/video2, "camera" for an address.
Job CameraJob(const std::string& camera) {
  const bool number = camera.find_first_not_of("0123456789") == std::string::npos;
  std::string stem = number                                    ? "camera" + camera
                     : camera.find("://") != std::string::npos ? "camera"
                                                               : fs::path(camera).stem().string();
  return {.input = camera, .stem = stem, .video = true, .camera = true};
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

// Options that would change nothing are refused, not passed over.
void RefuseWithoutVideo(const SegmentArguments& arguments, const std::vector<Job>& jobs) {
  for (const auto& [given, name] : {std::pair(!arguments.camera_size.empty(), "--camera-size"),
                                    {arguments.camera_rate > 0, "--camera-rate"},
                                    {!arguments.camera_format.empty(), "--camera-format"}}) {
    if (given && arguments.camera.empty())
      throw Error(ErrorCode::kUsage, fmt::format("{} goes with --camera, which is not given", name));
  }
  if (!arguments.camera_size.empty()) (void)ParseSize(arguments.camera_size, "--camera-size");
  const bool videos = std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.video; });
  if (arguments.frames > 0 && !videos)
    throw Error(ErrorCode::kUsage, "--frames goes with videos and cameras, all inputs are pictures");
}

// Results are several files, or one that is put in its place when it is whole.
void RefuseStandardOutput(const std::string& output) {
  if (output != "-" && output != "/dev/stdout" && output != "/dev/fd/1") return;
  throw Error(
      ErrorCode::kUsage,
      fmt::format("-o {}: results are files; name a folder, or a file such as out.png or out.mp4", output));
}

// Numbered pictures as ffmpeg names them; a file that is called so is read as any other.
void RefusePattern(const std::string& input) {
  std::error_code unreadable;
  if (fs::exists(input, unreadable)) return;
  const std::size_t percent = input.find('%');
  if (percent == std::string::npos) return;
  const std::size_t letter = input.find_first_not_of("0123456789", percent + 1);
  if (letter == std::string::npos || input[letter] != 'd') return;
  const std::string folder = fs::path(input).parent_path().string();
  throw Error(ErrorCode::kUsage, fmt::format("{}: there is no such file; of numbered pictures name the "
                                             "folder: frf segment {}",
                                             input, folder.empty() ? "." : folder));
}

// `-o out.bmp` would make a folder of that name.
void RefuseOtherEndings(const std::string& output) {
  static constexpr std::array<std::string_view, 4> kOthers{".svg", ".pdf", ".vob", ".mpv"};
  const std::string ending = Lower(fs::path(output).extension().string());
  std::error_code unreadable;
  const bool other =
      LooksLikeOtherPicture(output) || std::find(kOthers.begin(), kOthers.end(), ending) != kOthers.end();
  if (!other || fs::is_directory(output, unreadable)) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("-o {}: pictures are written as .png, .jpg or .jpeg, videos as .mp4, .mkv, .mov, "
                          ".webm or .avi; for a folder of that name make it first",
                          output));
}

// Whether there may be something to share. The one picture, video or camera that was named is wanted of each
// task of a job, as by a script that runs one task per file.
bool NamesSeveral(const SegmentArguments& arguments) {
  std::error_code unreadable;
  return arguments.inputs.size() + !arguments.camera.empty() > 1 ||
         (!arguments.inputs.empty() && fs::is_directory(arguments.inputs[0], unreadable));
}

// A result must take no input's place, its own picture's or another one's. As fs::equivalent, for thousands.
void RefuseLosingInputs(const SegmentArguments& arguments, const std::vector<Job>& jobs) {
  FileSet inputs,
      folders;  // `folders`: with pictures called like a video's masks, which replace all such files
  for (const Job& job : jobs) {
    inputs.Add(job.input);
    if (!job.camera && IsMaskName(job.input)) folders.Add(fs::absolute(job.input).parent_path());
  }
  for (const Job& job : jobs) {
    if (!job.error.empty()) continue;
    for (const auto& [kind, path] : OutputsOf(arguments, job)) {
      if (!inputs.Has(path) && !(job.video && kind == "mask" && folders.Has(path))) continue;
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: input and output are the same; the originals would be lost; name another "
                              "with -o",
                              path));
    }
  }
}

// a.jpg and a.png: the second one's results are called "a_2", or, where another input is called so, "a_3".
// Gives a line that says so; "" where no two inputs share a name.
std::string NumberEqualStems(std::vector<Job>& jobs) {
  std::set<std::string> names, taken;
  for (const Job& job : jobs) names.insert(job.stem);
  std::size_t numbered = 0;
  std::string first;
  for (Job& job : jobs) {
    std::string stem = job.stem;
    for (int n = 2; taken.contains(stem); ++n) {
      const std::string next = fmt::format("{}_{}", job.stem, n);
      if (!names.contains(next)) stem = next;
    }
    taken.insert(stem);
    if (stem == job.stem) continue;
    if (numbered++ == 0) first = fmt::format("{} gives {}_*", job.shown(), stem);
    job.stem = stem;
  }
  if (numbered == 0) return "";
  return fmt::format("inputs of one name have their results numbered: {}{}", first,
                     numbered > 1 ? fmt::format(", and {} more", numbered - 1) : "");
}

}  // namespace

std::map<std::string, std::string> OutputsOf(const SegmentArguments& arguments, const Job& job) {
  if (job.camera && !arguments.output_given) return {};  // only watched, and counted
  if (arguments.output_is_picture()) return {{KindOfPicture(arguments), arguments.output}};
  if (arguments.output_is_video()) {
    const bool colors = arguments.write_given && arguments.Wants("color");
    return {{colors ? "color" : "overlay", arguments.output}};
  }
  const std::string stem = (fs::path(arguments.output) / job.stem).string();
  std::map<std::string, std::string> outputs;
  const auto add = [&](const std::string& kind, std::string_view picture, const char* video) {
    if (arguments.Wants(kind)) outputs[kind] = stem + (job.video ? std::string(video) : std::string(picture));
  };
  add("mask", kMaskEnding, "_mask");  // a video's: a folder
  add("color", kColorEnding, "_color.mp4");
  add("overlay", kOverlayEnding, "_overlay.mp4");
  return outputs;
}

std::vector<Job> ListJobs(const SegmentArguments& arguments) {
  std::vector<Job> jobs;
  for (const auto& input : arguments.inputs) {
    RefusePattern(input);
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
  const std::string numbered = NumberEqualStems(jobs);
  (void)arguments.Wants("");  // unknown words
  if (arguments.output_is_video() && (jobs.size() > 1 || !jobs[0].video)) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("-o {}: one video or camera gives a video, {} given; name a folder", arguments.output,
                    jobs.size() > 1 ? fmt::format("{} inputs are", jobs.size())
                                    : fmt::format("{}, whose ending is no video's, is", jobs[0].input)));
  }
  if (arguments.output_is_picture() && (jobs.size() > 1 || jobs[0].video)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("-o {}: one picture gives a picture, {} given; name a folder", arguments.output,
                            jobs.size() > 1 ? fmt::format("{} inputs are", jobs.size()) : "a video is"));
  }
  if (arguments.output_is_picture()) (void)KindOfPicture(arguments);
  RefuseStandardOutput(arguments.output);
  RefuseOtherEndings(arguments.output);
  RefuseWithoutVideo(arguments, jobs);
  RefuseLosingInputs(arguments, jobs);
  const auto [index, count] =
      arguments.shard.empty() && !NamesSeveral(arguments) ? std::pair(0, 1) : ParseShard(arguments.shard);
  if (!numbered.empty()) LogInfo(numbered);
  std::vector<Job> mine;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (static_cast<int>(i % count) == index) mine.push_back(jobs[i]);
  }
  if (mine.empty()) {
    LogWarning(fmt::format("task {} of {} has none of the {}: nothing is labelled here{}", index, count,
                           Counted(jobs.size(), "input"),
                           arguments.shard.empty() ? "; --shard 0/1 takes all" : ""));
  } else if (arguments.shard.empty() && count > 1) {
    LogInfo(
        fmt::format("task {} of {}, as the job's environment says: {} of {} inputs; --shard 0/1 takes all",
                    index, count, mine.size(), jobs.size()));
  }
  return mine;
}

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

}  // namespace frf::cli
