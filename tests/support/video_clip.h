// SPDX-License-Identifier: Apache-2.0
// Clips whose frames say their own number: eight bars, black or white, are its bits, the lowest on the left.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "support/support.h"
#include "video/video.h"

namespace frf::test {

inline bool HasVideo() {
  try {
    LoadVideoLibrary();
    return true;
  } catch (const Error&) {
    return false;
  }
}

#define FRF_SKIP_WITHOUT_VIDEO() \
  if (!::frf::test::HasVideo()) GTEST_SKIP() << "this build has no video (FRF_VIDEO): this test is skipped"

inline constexpr int kBars = 8;

inline Image CodedFrame(int number, int height = 48, int width = 128) {
  Image image{.height = height, .width = width, .channels = 3};
  image.pixels.resize(image.bytes());
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x)
      std::fill_n(image.at(y, x), 3, number >> (x * kBars / width) & 1 ? 235 : 20);
  }
  return image;
}

// `bright(bar)`: whether the middle of that bar is.
template <class Bright>
int NumberOf(const Bright& bright) {
  int number = 0;
  for (int bar = 0; bar < kBars; ++bar) number |= bright(bar) << bar;
  return number;
}

inline int NumberOf(const Image& image) {
  return NumberOf(
      [&](int bar) { return *image.at(image.height / 2, (2 * bar + 1) * image.width / (2 * kBars)) > 127; });
}

inline int NumberOf(const LabelImage& labels) {
  return NumberOf(
      [&](int bar) { return labels.at(labels.height / 2, (2 * bar + 1) * labels.width / (2 * kBars)) == 1; });
}

struct ClipSpec {
  std::vector<std::int64_t> pts;  // milliseconds
  int height = 48, width = 128;
};

inline std::vector<std::int64_t> EvenPts(int frames, int step = 40) {
  std::vector<std::int64_t> pts;
  for (int i = 0; i < frames; ++i) pts.push_back(std::int64_t{i} * step);
  return pts;
}

inline void WriteClip(const std::string& path, const ClipSpec& spec) {
  const auto writer = LoadVideoLibrary().Create(
      {.path = path,
       .info = {.height = spec.height, .width = spec.width, .rate = {25, 1}, .time_base = {1, 1000}}});
  for (std::size_t i = 0; i < spec.pts.size(); ++i)
    writer->Write(CodedFrame(static_cast<int>(i), spec.height, spec.width), spec.pts[i]);
  writer->Finish();
}

struct DecodedClip {
  VideoInfo info;
  std::vector<VideoFrame> frames;
  std::vector<double> seconds;  // when each is shown
  std::string warning;
};

inline DecodedClip DecodeClip(const std::string& path, bool camera = false) {
  const auto source = LoadVideoLibrary().Open({.input = path, .camera = camera});
  DecodedClip clip{source->info()};
  for (VideoFrame frame; source->Read(frame);) {
    clip.frames.push_back(frame);
    clip.seconds.push_back(static_cast<double>(frame.pts) * clip.info.time_base.value());
  }
  clip.warning = source->warning();
  return clip;
}

}  // namespace frf::test
