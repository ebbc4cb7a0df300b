// SPDX-License-Identifier: Apache-2.0
// Scores a module on a data set: one confusion matrix over the whole split at the labels' own size, one
// scale, no flip.
//
//   Evaluation result = Evaluate(module, *data, {.input = info.input});
//   double miou = result.matrix.MeanIou().value_or(0);
//
// Subtle: labels are the argmax of the scores at the network's input size, resized once more to the labels'
// size (contract: sizes), by the same code that `segment` uses.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "image/transform.h"
#include "metrics/confusion.h"
#include "train/device.h"
#include "train/module.h"

namespace frf {

class Distributed;

struct EvaluateOptions {
  InputSpec input;
  int height = 0, width = 0;  // fixed network input, 0: as `input` says
  bool area = false;          // images are area-averaged to the network's size first
  torch::Device device = torch::kCPU;
  Precision precision = Precision::kFloat32;
  bool progress = true;
  Distributed* distributed = nullptr;  // every process scores a part; all have the whole result
};

struct Evaluation {
  ConfusionMatrix matrix;
  std::vector<double> scores;  // mean IoU of each image, negative where nothing is labelled
  double seconds = 0;
  std::vector<double> times;  // ms of each image, from the picture to its labels
  std::string size;           // at which the network saw the pictures, "native" where they differ
};

// The graph's output of scores. Throws kInvalidArgument where there is none.
std::string ScoresName(const Graph& graph);

// The size at which the network sees an image.
NetworkSize SizeSeen(const Image& image, const EvaluateOptions& options);

// Labels of one image at the image's size.
LabelImage Predict(GraphModule& module, const Image& image, const EvaluateOptions& options);

// Throws kInterrupted when StopSignal asks for it, in one process or another.
Evaluation Evaluate(GraphModule& module, const Dataset& data, const EvaluateOptions& options);

// Positions of the `count` images to show: the worst ones and the best ones, half each.
std::vector<int> WorstAndBest(const std::vector<double>& scores, int count);

}  // namespace frf
