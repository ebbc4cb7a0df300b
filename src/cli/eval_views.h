// SPDX-License-Identifier: Apache-2.0
// What gives labels to `frf eval`: the segmenter, or with --flip and --scales the mean of the probabilities
// that several views of a picture get, as the literature's "multi-scale and flip" results have it.
//
//   Predictor predictor(model, options, {.scales = {0.75, 1, 1.25}, .flip = true});
//   LabelImage labels = predictor.Run(image.view());
//
// Subtle: each view's scores are brought to the picture's size first (bilinear, half-pixel), then become
// probabilities by softmax, then the mean is taken; the lowest class wins ties.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/segmenter.h"

namespace frf::cli {

struct Views {
  std::vector<double> scales{1};  // of the network's input size
  bool flip = false;              // each also mirrored left to right
  bool one() const { return !flip && scales == std::vector<double>{1}; }
};

// "mean of 6 views: scales 0.75, 1, 1.25, each also mirrored".
std::string ToText(const Views& views);

class Predictor {
 public:
  // Throws kInvalidArgument where there are several views and the model gives labels, not scores, or takes
  // each image at its own size, which no scale can multiply beforehand.
  Predictor(Model model, const SegmenterOptions& options, const Views& views = {});

  const ModelInfo& info() const { return info_; }
  LabelImage Run(const ImageView& image);

 private:
  struct View {
    int height, width;  // network's input, 0: the image's own
    Session session;
  };
  // Adds the probabilities that a view gives to `sum`, classes x height x width of the image.
  void Add(View& view, const ImageView& image, bool mirrored, std::vector<float>& sum) const;

  ModelInfo info_;
  std::optional<Segmenter> segmenter_;  // one view
  std::vector<View> views_;             // more
  bool flip_ = false;
};

}  // namespace frf::cli
