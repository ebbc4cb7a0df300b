// SPDX-License-Identifier: Apache-2.0
// What the parts of `frf segment` share: the list of inputs (segment_jobs.cpp), pictures (segment_verb.cpp)
// and videos (segment_video.cpp).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/passwords.h"
#include "engine/segmenter.h"

namespace frf::cli {

struct SegmentArguments {
  std::vector<std::string> inputs;
  std::string model = "frfnet-camvid", output = "out", write = "mask,color,overlay", size, shard,
              ids = "label", precision = "f32";
  int threads = 0;
  double opacity = 0.55;
  std::uint64_t max_memory_mb = 0;
  bool no_legend = false, json = false;
  bool output_given = false, write_given = false;
  std::string camera, camera_size, camera_format;
  double camera_rate = 0;
  std::int64_t frames = 0;

  bool Wants(const std::string& kind) const;  // a word of `write`; unknown words are kUsage
  bool output_is_video() const;               // -o out.mp4, not a folder
  bool output_is_picture() const;             // -o out.png, not a folder
};

struct Job {
  std::string input;
  std::string stem;  // output path without ending, relative to the output folder
  bool video = false, camera = false;
  std::string error = {};  // why it is no input after all, such as a folder that cannot be looked into
  std::string shown() const { return camera ? AddressWithoutPassword(input) : input; }
};

// The inputs, folders' files one by one, of this shard. Throws kUsage for what does not go together and where
// a result would take an input's place.
std::vector<Job> ListJobs(const SegmentArguments& arguments);

// What a job writes: kind -> path; a video's "mask" is a folder. Empty for a camera that is only watched.
std::map<std::string, std::string> OutputsOf(const SegmentArguments& arguments, const Job& job);

// A mask's ids as --ids wants them, into `path`.
void WriteMask(const std::string& path, const LabelImage& labels, const Classes& classes,
               const SegmentArguments& arguments);

// Labels one video or camera and prints its summary unless --json. Gives its entry of the report; "error" or
// "interrupted" in it where it did not come to its end; a StopSignal of the caller's ends it early. Throws
// kUsage alone.
Json SegmentVideo(const SegmentArguments& arguments, const Job& job, Segmenter& segmenter);

}  // namespace frf::cli
