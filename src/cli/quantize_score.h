// SPDX-License-Identifier: Apache-2.0
// What rounding to 8 bits costs, on labelled images: one network's labels beside another's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"
#include "engine/segmenter.h"
#include "metrics/confusion.h"

namespace frf::cli {

// Images of a data set, decoded once, and what a network says of them.
struct ScoredImages {
  std::vector<Sample> samples;
  std::vector<std::string> recordings;  // that they come from, each once
};

ScoredImages ReadImages(const Dataset& data, const std::vector<int>& which);

// The first few names, and how many more.
std::string Some(const std::vector<std::string>& names);

// At most `count` of them, evenly spread.
std::vector<int> EvenlyOf(const std::vector<int>& from, int count);

// As many lists of positions as `wanted` has numbers: whole recordings, the largest first, until a list has
// so many images or there are no more left for each of the others; the last one has what is left. Where
// recordings are too few, or the scenes are `drawn`, stretches of the data. Throws kInvalidArgument for fewer
// images than lists.
std::vector<std::vector<int>> SplitByRecording(const Dataset& data, const std::vector<int>& wanted,
                                               bool drawn);

// How many of `scored` are, by their pixels, among the images that gave ranges or chose; warns of them.
int CountUsed(const ScoredImages& scored, const ScoredImages& calibration, const ScoredImages& selection);

struct NetworkScore {
  std::vector<ConfusionMatrix> images;
  std::vector<LabelImage> labels;  // predicted
  double ms = 0;  // an image: the median, without the first one's planning where there are others
  ConfusionMatrix Sum() const;
  std::optional<double> MeanIou() const { return Sum().MeanIou(); }  // nullopt: no pixel is labelled
};

// `title`: of the progress bar; empty: none.
NetworkScore ScoreNetwork(const Model& model, const SegmenterOptions& options, const ScoredImages& images,
                          const std::string& title = {});

// Share of pixels with other labels.
double Disagreement(const NetworkScore& a, const NetworkScore& b);

// Mean IoU of `wanted` less that of `got`, in points, over the images; and the 95 % interval that drawing as
// many images with replacement gives (bootstrap, 1000 draws, always the same ones; those that drew nothing
// labelled do not count). nullopt: no pixel of any image is labelled.
struct Drop {
  double points = 0, low = 0, high = 0;
  bool few = false;  // images: draws from fewer than five tell nothing
};
std::optional<Drop> DropOf(const NetworkScore& wanted, const NetworkScore& got);

// {drop, drop_low, drop_high}; null where there is none, and the last two of few images.
Json ToJson(const std::optional<Drop>& drop);

// "int8 loses 0.16 points, 95 % 0.02 to 0.31", or "gains", so that no sign is needed to tell which; of few
// images the points alone.
std::string ToText(const Drop& drop);

// Tables: the settings that were tried ({ranges, bias_correction, equalized_pairs, labels_changed, miou} a
// row), what each convolution costs ({node, labels_changed, drop, drop_low, drop_high} a row), and the IoU
// of classes.
void PrintTried(const Json& rows);
void PrintSensitivity(const Json& rows);
void PrintScores(const Classes& classes, const NetworkScore& wanted, const NetworkScore& got,
                 const std::optional<Drop>& drop);

}  // namespace frf::cli
