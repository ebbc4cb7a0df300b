// SPDX-License-Identifier: Apache-2.0
// Small drawn data sets for the tests: pictures whose every pixel follows from its place, and trees in each
// layout.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "data/dataset.h"
#include "image/image_io.h"

namespace frf::test {

inline Image Picture(int height, int width, int salt = 0) {
  Image image{.height = height, .width = width, .channels = 3};
  image.pixels.resize(image.bytes());
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.at(y, x)[0] = static_cast<std::uint8_t>(y * 7 + salt);
      image.at(y, x)[1] = static_cast<std::uint8_t>(x * 5 + salt);
      image.at(y, x)[2] = static_cast<std::uint8_t>(y * x + 31 * salt);
    }
  }
  return image;
}

// Vertical stripes of `classes` ids, `void_id` in the last column.
inline LabelImage Stripes(int height, int width, int classes, std::uint8_t void_id = kVoidLabel) {
  LabelImage labels{.height = height, .width = width};
  labels.ids.resize(static_cast<std::size_t>(height) * width);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      labels.at(y, x) = x == width - 1 ? void_id : static_cast<std::uint8_t>(x % classes);
    }
  }
  return labels;
}

inline void MakeParent(const std::string& path) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
}
inline void PutText(const std::string& path, const std::string& text) {
  MakeParent(path);
  std::ofstream(path, std::ios::binary) << text;
}
inline void PutImage(const std::string& path, const Image& image) {
  MakeParent(path);
  WriteImage(path, image);
}
inline void PutLabels(const std::string& path, const LabelImage& labels) {
  MakeParent(path);
  WriteLabels(path, labels);
}

// SegNet's layout: `train` and `val` images of 12x16 with all 11 classes and void.
inline void MakeCamVid(const std::string& root, int train = 3, int val = 2) {
  const auto add = [&](const std::string& split, int count, int salt) {
    std::string list;
    for (int i = 0; i < count; ++i) {
      const std::string file = "/d" + std::to_string(i % 2) + "_" + std::to_string(100 + i) + ".png";
      PutImage(root + "/" + split + file, Picture(12, 16, salt + i));
      PutLabels(root + "/" + split + "annot" + file, Stripes(12, 16, 11, 11));
      list += split + file + " " + split + "annot" + file + "\n";
    }
    PutText(root + "/" + split + ".txt", list);
  };
  add("train", train, 0);
  add("val", val, 100);
}

}  // namespace frf::test
