// SPDX-License-Identifier: Apache-2.0
// Training losses on scores upsampled to the label's size; void (255) never counts.
//
//   Loss loss({.kind = LossKind::kCrossEntropy, .class_weights = ClassWeights(shares, 1.10)}, graph);
//   torch::Tensor value = loss(module.Forward(images), labels);    // labels: uint8 N x H x W; heads added
//   with their weight
//
// Subtle: on the CPU cross-entropy never stores full-size scores: rows are upsampled, soft-maxed and their
// gradient brought back to the small map one after another, and the gradient is ready when the forward pass
// ends. A batch of void alone gives 0 (torch gives NaN).
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "graph/graph.h"

namespace frf {

class Distributed;

enum class LossKind { kCrossEntropy, kOhem, kLovasz, kCrossEntropyLovasz };

struct LossSpec {
  LossKind kind = LossKind::kCrossEntropy;
  std::vector<float> class_weights;  // empty: all 1
  double auxiliary_weight =
      0.4;  // of each auxiliary head; heads always use cross-entropy (or OHEM where chosen)
  double ohem_threshold = 0.7;   // pixels whose true class has a probability below this are kept ...
  double ohem_share = 1.0 / 16;  // ... and at least this share of the non-void ones, the hardest first
  double lovasz_weight = 1.0;    // in the combination
  // Class weights make rare classes likelier than they are, and labels with them. Losses see the scores plus
  // this times ln(class weight), so the scores themselves go without that share of it: logit adjustment
  // (Menon et al. 2021) towards the data's own frequencies. 0: scores as weighted; 1: as if unweighted. For
  // all heads.
  double logit_adjustment = 0;
  // Where there are teachers (teachers.h): the share of the main output's loss that is the divergence from
  // their probabilities; the labels have the rest.
  double distillation = 0.5;

  bool operator==(const LossSpec&) const = default;
};

LossKind LossKindFromName(const std::string& name);  // ce, ohem, lovasz, ce+lovasz
std::string Name(LossKind kind);
Json ToJson(const LossSpec& spec);
LossSpec LossSpecFromJson(const Json& json, const std::string& what);
// Throws kUsage naming the field.
void Check(const LossSpec& spec);

// 1 / ln(c + share), normalised to mean 1. c > 1.
std::vector<float> ClassWeights(const std::vector<double>& shares, double c);

// Bilinear, half-pixel, to the labels' size (no copy when sizes agree).
torch::Tensor UpsampleTo(const torch::Tensor& scores, std::int64_t height, std::int64_t width);

// Weighted mean as torch's cross_entropy(ignore_index=255): sum of w[y] * nll over sum of w[y].
torch::Tensor CrossEntropy(const torch::Tensor& scores, const torch::Tensor& labels,
                           const torch::Tensor& weights);
// The same by torch's own operators; what CrossEntropy is tested against and what other devices use.
torch::Tensor CrossEntropyPlain(const torch::Tensor& scores, const torch::Tensor& labels,
                                const torch::Tensor& weights);
// With several processes: this one's share of the mean over all of their pixels.
torch::Tensor Ohem(const torch::Tensor& scores, const torch::Tensor& labels, const LossSpec& spec,
                   const torch::Tensor& weights, Distributed* distributed = nullptr);
// The weighted cross-entropy where labels are distributions, less its minimum (so 0 is reached): targets
// times class weights are compared by Kullback-Leibler divergence with the scores' probabilities; a pixel
// counts by the weight that its target has in the mean. `targets` (N x C x h x w) come at the scores' size or
// are brought to it; pixels count whether labelled or not.
struct Divergence {
  torch::Tensor sum;  // over pixels, each times its weight
  torch::Tensor weight;
};
Divergence DivergenceFrom(const torch::Tensor& targets, const torch::Tensor& scores,
                          const torch::Tensor& weights);
// Lovasz-softmax (Berman et al. 2018), over the batch's pixels at once, mean over the classes present in it.
torch::Tensor LovaszSoftmax(const torch::Tensor& scores, const torch::Tensor& labels);

class Loss {
 public:
  // Throws kInvalidArgument when class_weights do not match the graph's scores' channels at the first call.
  // With several processes, each having a slice of the batch, losses sum up to the whole batch's: exactly for
  // cross-entropy; OHEM ranks each slice by itself where `ohem_share` decides (not where the threshold does),
  // Lovasz is the mean of the slices' own.
  Loss(LossSpec spec, const Graph& graph, Distributed* distributed = nullptr);
  // `targets`: teachers' probabilities; undefined: labels alone.
  torch::Tensor operator()(const std::map<std::string, torch::Tensor>& outputs, const torch::Tensor& labels,
                           const torch::Tensor& targets = {}) const;
  const LossSpec& spec() const { return spec_; }

 private:
  // What of one output's loss this process contributes; `share`: its part of the batch's weighted pixels.
  torch::Tensor One(const torch::Tensor& scores, const torch::Tensor& labels, double share,
                    bool auxiliary) const;
  const torch::Tensor& Weights(const torch::Tensor& scores) const;  // of classes
  torch::Tensor Adjusted(const torch::Tensor& scores) const;
  torch::Tensor Taught(const torch::Tensor& scores, const torch::Tensor& targets) const;
  double Share(const torch::Tensor& labels, const torch::Tensor& weights) const;
  LossSpec spec_;
  Distributed* distributed_;
  std::string scores_;
  std::vector<std::string> auxiliary_;
  mutable torch::Tensor weights_, offsets_;  // where the scores are, made at the first call
};

}  // namespace frf
