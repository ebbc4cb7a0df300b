// SPDX-License-Identifier: Apache-2.0
// Losses by torch's operators, and the choice between them. Cross-entropy on the CPU is in losses_fused.cpp.
// Subtle: OHEM ranks pixels by the unweighted loss, so that class weights do not decide what is hard; Lovasz
// sorts errors over the whole batch and treats the sorted Jaccard gradient as a constant, as its authors do.
#include "train/losses.h"

#include <fmt/format.h>

#include <cmath>

#include "frf/image.h"
#include "train/distributed.h"
#include "train/field_reader.h"
#include "train/losses_fused.h"

namespace frf {
namespace {

constexpr std::pair<LossKind, const char*> kNames[] = {{LossKind::kCrossEntropy, "ce"},
                                                       {LossKind::kOhem, "ohem"},
                                                       {LossKind::kLovasz, "lovasz"},
                                                       {LossKind::kCrossEntropyLovasz, "ce+lovasz"}};

// Scores at the labels' size; half precision becomes single.
torch::Tensor FullSize(const torch::Tensor& scores, const torch::Tensor& labels) {
  const torch::Tensor full = UpsampleTo(scores, labels.size(1), labels.size(2));
  return full.scalar_type() == torch::kFloat64 ? full : full.to(torch::kFloat32);
}

// Pixels' -log p(true class), float N x H x W; 0 at void.
torch::Tensor PixelLosses(const torch::Tensor& scores, const torch::Tensor& labels) {
  const torch::Tensor full = FullSize(scores, labels);
  return at::nll_loss2d(at::log_softmax(full, 1), labels.to(torch::kInt64), {}, at::Reduction::None,
                        kVoidLabel);
}

// Weight of every pixel: its class's, 0 at void.
torch::Tensor PixelWeights(const torch::Tensor& labels, const torch::Tensor& weights) {
  torch::Tensor table = torch::zeros({256}, weights.options());
  table.narrow(0, 0, weights.size(0)).copy_(weights);
  table[kVoidLabel] = 0;
  return table.index_select(0, labels.reshape({-1}).to(torch::kInt64)).reshape(labels.sizes());
}

torch::Tensor WeightedMean(const torch::Tensor& losses, const torch::Tensor& pixel_weights) {
  // Without a single weighted pixel the sum is 0 and so is the mean.
  return (losses * pixel_weights).sum() / pixel_weights.sum().clamp_min(1e-12);
}

// Gradient of the Jaccard loss with respect to errors sorted from the largest: Berman et al., algorithm 1.
torch::Tensor LovaszGradient(const torch::Tensor& sorted_truth) {
  const torch::Tensor total = sorted_truth.sum();
  const torch::Tensor intersection = total - sorted_truth.cumsum(0);
  const torch::Tensor together = total + (1 - sorted_truth).cumsum(0);
  torch::Tensor jaccard = 1 - intersection / together;
  if (jaccard.numel() > 1) {
    jaccard = at::cat({jaccard.narrow(0, 0, 1), jaccard.narrow(0, 1, jaccard.numel() - 1) -
                                                    jaccard.narrow(0, 0, jaccard.numel() - 1)});
  }
  return jaccard;
}

}  // namespace

LossKind LossKindFromName(const std::string& name) {
  for (const auto& [kind, text] : kNames) {
    if (name == text) return kind;
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("no loss is called '{}'; there are ce, ohem, lovasz, ce+lovasz", name));
}

std::string Name(LossKind kind) {
  for (const auto& [known, text] : kNames) {
    if (kind == known) return text;
  }
  return "?";
}

Json ToJson(const LossSpec& spec) {
  return {{"kind", Name(spec.kind)},
          {"class_weights", spec.class_weights},
          {"auxiliary_weight", spec.auxiliary_weight},
          {"ohem_threshold", spec.ohem_threshold},
          {"ohem_share", spec.ohem_share},
          {"lovasz_weight", spec.lovasz_weight},
          {"logit_adjustment", spec.logit_adjustment},
          {"distillation", spec.distillation}};
}

LossSpec LossSpecFromJson(const Json& json, const std::string& what) {
  LossSpec spec;
  const FieldReader read{json, what + ": loss"};
  read.Named("kind", spec.kind, LossKindFromName);
  read("class_weights", spec.class_weights);
  read("auxiliary_weight", spec.auxiliary_weight);
  read("ohem_threshold", spec.ohem_threshold);
  read("ohem_share", spec.ohem_share);
  read("lovasz_weight", spec.lovasz_weight);
  read("logit_adjustment", spec.logit_adjustment);
  read("distillation", spec.distillation);
  return spec;
}

void Check(const LossSpec& spec) {
  const auto want = [](bool good, const char* field, double value, const char* range) {
    if (!good)
      throw Error(ErrorCode::kUsage, fmt::format("loss.{} is {}, {} is wanted", field, value, range));
  };
  want(spec.auxiliary_weight >= 0, "auxiliary_weight", spec.auxiliary_weight, "0 or more");
  want(spec.ohem_threshold > 0 && spec.ohem_threshold <= 1, "ohem_threshold", spec.ohem_threshold,
       "above 0 to 1");
  want(spec.ohem_share >= 0 && spec.ohem_share <= 1, "ohem_share", spec.ohem_share, "0 to 1");
  want(spec.lovasz_weight >= 0, "lovasz_weight", spec.lovasz_weight, "0 or more");
  want(spec.logit_adjustment >= 0 && spec.logit_adjustment <= 4, "logit_adjustment", spec.logit_adjustment,
       "0 to 4");
  want(spec.distillation > 0 && spec.distillation <= 1, "distillation", spec.distillation, "above 0 to 1");
  for (const float weight : spec.class_weights)
    want(weight > 0 && std::isfinite(weight), "class_weights", weight, "above 0");
}

std::vector<float> ClassWeights(const std::vector<double>& shares, double c) {
  if (shares.empty() || !(c > 1)) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("class weights 1/ln(c + share) want c above 1 and at least one share, got c = {} and {}",
                    c, shares.size()));
  }
  std::vector<double> raw;
  double sum = 0;
  for (const double share : shares) {
    raw.push_back(1.0 / std::log(c + share));
    sum += raw.back();
  }
  std::vector<float> weights;
  for (const double weight : raw)
    weights.push_back(static_cast<float>(weight * static_cast<double>(raw.size()) / sum));
  return weights;
}

torch::Tensor UpsampleTo(const torch::Tensor& scores, std::int64_t height, std::int64_t width) {
  if (scores.size(2) == height && scores.size(3) == width) return scores;
  return at::upsample_bilinear2d(scores, {height, width}, /*align_corners=*/false);
}

torch::Tensor CrossEntropyPlain(const torch::Tensor& scores, const torch::Tensor& labels,
                                const torch::Tensor& weights) {
  return WeightedMean(PixelLosses(scores, labels), PixelWeights(labels, weights));
}

torch::Tensor CrossEntropy(const torch::Tensor& scores, const torch::Tensor& labels,
                           const torch::Tensor& weights) {
  const bool fused = scores.device().is_cpu() && scores.scalar_type() == torch::kFloat32;
  return fused ? CrossEntropyFused(scores, labels, weights) : CrossEntropyPlain(scores, labels, weights);
}

torch::Tensor Ohem(const torch::Tensor& scores, const torch::Tensor& labels, const LossSpec& spec,
                   const torch::Tensor& weights, Distributed* distributed) {
  const torch::Tensor losses = PixelLosses(scores, labels);
  const torch::Tensor valid = labels != kVoidLabel;
  torch::Tensor keep;
  {
    const torch::NoGradGuard guard;
    const torch::Tensor ranked = at::masked_select(losses.detach(), valid);
    const std::int64_t count = ranked.numel();
    double limit = -std::log(spec.ohem_threshold);
    if (count > 0) {
      const auto least = std::clamp<std::int64_t>(
          static_cast<std::int64_t>(std::ceil(spec.ohem_share * static_cast<double>(count))), 1, count);
      const double last = std::get<0>(at::topk(ranked, least)).index({least - 1}).item<double>();
      limit = std::min(limit, last);
    }
    keep = valid.logical_and(losses.detach() >= limit).to(torch::kFloat32);
  }
  const torch::Tensor kept = PixelWeights(labels, weights) * keep;
  if (distributed == nullptr) return WeightedMean(losses, kept);
  const double total = distributed->Sum(kept.sum(torch::kFloat64).item<double>());
  return (losses * kept).sum() / std::max(total, 1e-12);
}

torch::Tensor LovaszSoftmax(const torch::Tensor& scores, const torch::Tensor& labels) {
  const torch::Tensor full = FullSize(scores, labels);
  if (full.is_cpu() && full.scalar_type() == torch::kFloat32)
    return LovaszFused(at::softmax(full, 1), labels);
  const std::int64_t classes = full.size(1);
  const torch::Tensor valid = (labels != kVoidLabel).reshape({-1}), truth = labels.reshape({-1});
  const torch::Tensor shares = at::softmax(full, 1).permute({1, 0, 2, 3}).reshape({classes, -1});
  torch::Tensor sum = full.sum() * 0;  // keeps the graph connected when no class is present
  torch::Tensor present = torch::zeros({}, full.options().requires_grad(false));
  // Nothing is read back by the host: a captured step (train_step.h) could not, and a GPU would wait.
  for (std::int64_t c = 0; c < classes; ++c) {
    const torch::Tensor is_class = (truth == c).to(full.scalar_type()), there = is_class.max();
    // Void sorts behind every pixel that counts, and weighs nothing there.
    const torch::Tensor errors = at::where(valid, (is_class - shares[c]).abs(), -1.0);
    const auto [sorted, order] = at::sort(errors, 0, /*descending=*/true);
    sum = sum + there * at::dot(sorted.clamp_min(0), LovaszGradient(is_class.index_select(0, order)));
    present = present + there;
  }
  return sum / present.clamp_min(1);
}

Divergence DivergenceFrom(const torch::Tensor& targets, const torch::Tensor& scores,
                          const torch::Tensor& weights) {
  const torch::Tensor sized = UpsampleTo(targets, scores.size(2), scores.size(3)).to(scores.scalar_type());
  const torch::Tensor weighted = sized * weights.to(scores.scalar_type()).reshape({1, -1, 1, 1});
  const torch::Tensor weight = weighted.sum(1, /*keepdim=*/true), wanted = weighted / weight;
  // What has no probability, or one that only denormal numbers hold (flushed to 0 in one place and not in
  // another), adds 0 and never 0 times infinity.
  const torch::Tensor apart = wanted.clamp_min(1e-30).log() - at::log_softmax(scores, 1);
  return {(weighted * apart).sum(), weight.sum()};
}

Loss::Loss(LossSpec spec, const Graph& graph, Distributed* distributed)
    : spec_(std::move(spec)), distributed_(distributed) {
  for (const GraphOutput& output : graph.outputs) {
    if (output.role == OutputRole::kAuxiliary) {
      auxiliary_.push_back(output.name);
    } else {
      scores_ = output.name;
    }
  }
  if (scores_.empty())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("graph '{}' has no scores to train", graph.name));
}

const torch::Tensor& Loss::Weights(const torch::Tensor& scores) const {
  const std::int64_t classes = scores.size(1);
  if (!spec_.class_weights.empty() && static_cast<std::int64_t>(spec_.class_weights.size()) != classes) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} class weights were given for {} classes",
                                                         spec_.class_weights.size(), classes));
  }
  if (!weights_.defined() || weights_.device() != scores.device() || weights_.size(0) != classes) {
    weights_ = (spec_.class_weights.empty() ? torch::ones({classes}) : torch::tensor(spec_.class_weights))
                   .to(scores.device());
    offsets_ = (weights_.log() * spec_.logit_adjustment).reshape({1, classes, 1, 1});
  }
  return weights_;
}

// Upsampling keeps constants, so it does not matter that this comes before it.
torch::Tensor Loss::Adjusted(const torch::Tensor& scores) const {
  if (spec_.logit_adjustment == 0 || spec_.class_weights.empty()) return scores;
  return scores + offsets_.to(scores.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32);
}

// Cross-entropy is a mean over weighted pixels: this process's mean counts by its pixels.
double Loss::Share(const torch::Tensor& labels, const torch::Tensor& weights) const {
  if (distributed_ == nullptr || spec_.kind == LossKind::kOhem) return 1;
  const double own = PixelWeights(labels, weights).sum(torch::kFloat64).item<double>(),
               total = distributed_->Sum(own);
  return total > 0 ? own / total : 0;
}

torch::Tensor Loss::One(const torch::Tensor& raw, const torch::Tensor& labels, double share,
                        bool auxiliary) const {
  const torch::Tensor& weights = Weights(raw);
  const torch::Tensor scores = Adjusted(raw);
  if (spec_.kind == LossKind::kOhem) return Ohem(scores, labels, spec_, weights, distributed_);
  const auto cross_entropy = [&] {
    const torch::Tensor loss = CrossEntropy(scores, labels, weights);
    return distributed_ == nullptr ? loss : loss * share;
  };
  if (auxiliary || spec_.kind == LossKind::kCrossEntropy) return cross_entropy();
  torch::Tensor lovasz = LovaszSoftmax(scores, labels);
  if (distributed_ != nullptr) lovasz = lovasz / distributed_->size();
  if (spec_.kind == LossKind::kLovasz) return lovasz;
  return cross_entropy() + spec_.lovasz_weight * lovasz;
}

// Teachers' answers take the place of labels, with the same weights and adjustment; otherwise rare classes
// would be learnt as rarely as they occur (docs/training.md).
torch::Tensor Loss::Taught(const torch::Tensor& scores, const torch::Tensor& targets) const {
  const torch::Tensor& weights = Weights(scores);
  const auto [sum, weight] = DivergenceFrom(targets, Adjusted(scores), weights);
  if (distributed_ == nullptr) return sum / weight;
  return sum / distributed_->Sum(weight.item<double>());  // this process's share of the batch's mean
}

torch::Tensor Loss::operator()(const std::map<std::string, torch::Tensor>& outputs,
                               const torch::Tensor& labels, const torch::Tensor& targets) const {
  const torch::Tensor& scores = outputs.at(scores_);
  const double share = Share(labels, Weights(scores));
  torch::Tensor total = One(scores, labels, share, false);
  if (targets.defined()) {
    total = (1 - spec_.distillation) * total + spec_.distillation * Taught(scores, targets);
  }
  for (const std::string& name : auxiliary_) {
    const auto found = outputs.find(name);
    if (found != outputs.end())
      total = total + spec_.auxiliary_weight * One(found->second, labels, share, true);
  }
  return total;
}

}  // namespace frf
