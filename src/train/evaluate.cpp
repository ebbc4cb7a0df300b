// SPDX-License-Identifier: Apache-2.0
#include "train/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <numeric>

#include "base/progress.h"
#include "base/stop_signal.h"
#include "frf/error.h"
#include "train/distributed.h"

namespace frf {
namespace {

// Evaluation mode for a scope.
class EvalMode {
 public:
  explicit EvalMode(GraphModule& module) : module_(module), was_(module.is_training()) { module_.eval(); }
  ~EvalMode() { module_.train(was_); }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  GraphModule& module_;
  bool was_;
};

}  // namespace

std::string ScoresName(const Graph& graph) {
  for (const GraphOutput& output : graph.outputs) {
    if (output.role == OutputRole::kScores) return output.name;
  }
  throw Error(ErrorCode::kInvalidArgument, "graph '" + graph.name + "' has no output of scores");
}

NetworkSize SizeSeen(const Image& image, const EvaluateOptions& options) {
  return ChooseNetworkSize(options.input, image.height, image.width, options.height, options.width);
}

LabelImage Predict(GraphModule& module, const Image& image, const EvaluateOptions& options) {
  const torch::NoGradGuard no_gradients;
  const EvalMode eval(module);
  const NetworkSize size = SizeSeen(image, options);
  torch::Tensor input = torch::empty({1, 3, size.height, size.width});
  if (options.area && (size.content_height < image.height || size.content_width < image.width)) {
    const Image small = ResizeArea(image.view(), size.content_height, size.content_width);
    Preprocess(small.view(), options.input, size, input.data_ptr<float>());
  } else {
    Preprocess(image.view(), options.input, size, input.data_ptr<float>());
  }
  torch::Tensor scores;
  {
    const Autocast cast(options.device, options.precision);
    const std::string name = ScoresName(module.graph());
    scores = module.Forward(input.to(options.device), {name}, {}).at(name);
  }
  scores = scores.to(torch::kCPU, torch::kFloat32).contiguous();
  const auto height = static_cast<int>(scores.size(2)), width = static_cast<int>(scores.size(3));
  return LabelsFromScores(scores.data_ptr<float>(), static_cast<int>(scores.size(1)), height, width,
                          size.content_height, size.content_width, image.height, image.width);
}

namespace {

// One process's counts become everyone's; scores are 0 where another process has the image.
void SumOverProcesses(Evaluation& result, Distributed& distributed) {
  std::vector<std::int64_t>& counts = result.matrix.counts();
  torch::Tensor total =
      torch::from_blob(counts.data(), {static_cast<std::int64_t>(counts.size())}, torch::kInt64);
  distributed.Sum(total);
  distributed.Sum(result.scores);
  result.matrix.set_images(static_cast<std::int64_t>(result.scores.size()));
}

}  // namespace

Evaluation Evaluate(GraphModule& module, const Dataset& data, const EvaluateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const int step = options.distributed == nullptr ? 1 : options.distributed->size(),
            offset = options.distributed == nullptr ? 0 : options.distributed->rank();
  Evaluation result{.matrix = ConfusionMatrix(data.classes().count()), .scores = {}, .times = {}, .size = {}};
  result.scores.assign(static_cast<std::size_t>(data.size()), 0.0);
  Progress progress("validate", options.progress ? data.size() : 0);
  std::future<Sample> next;
  const auto fetch = [&](int i) {
    if (i < data.size()) next = std::async(std::launch::async, [&data, i] { return data.Get(i); });
  };
  fetch(offset);
  // All processes go through the same rounds, so that they stop together; the last one may lack an image.
  for (int first = 0; first < data.size(); first += step) {
    const bool stop = options.distributed == nullptr
                          ? StopSignal::Requested()
                          : options.distributed->Sum(StopSignal::Requested() ? 1.0 : 0.0) > 0;
    if (stop) throw Error(ErrorCode::kInterrupted, "validation was interrupted");
    const int i = first + offset;
    if (i >= data.size()) continue;
    const Sample sample = next.get();
    fetch(i + step);
    ConfusionMatrix one(data.classes().count());
    const auto begun = std::chrono::steady_clock::now();
    const LabelImage labels = Predict(module, sample.image, options);
    result.times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
    const NetworkSize size = SizeSeen(sample.image, options);
    const std::string seen = fmt::format("{}x{}", size.height, size.width);
    result.size = result.size.empty() || result.size == seen ? seen : "native";
    one.Add(sample.labels, labels);
    result.scores[static_cast<std::size_t>(i)] = one.MeanIou().value_or(-1);
    result.matrix.Merge(one);
    if (options.progress)
      progress.Advance(step, fmt::format("mIoU {:.3f}", result.matrix.MeanIou().value_or(0)));
  }
  if (options.distributed != nullptr) SumOverProcesses(result, *options.distributed);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::vector<int> WorstAndBest(const std::vector<double>& scores, int count) {
  std::vector<int> order;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] >= 0) order.push_back(static_cast<int>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return scores[a] < scores[b]; });
  if (static_cast<int>(order.size()) <= count) return order;
  std::vector<int> chosen(order.begin(), order.begin() + (count + 1) / 2);
  chosen.insert(chosen.end(), order.end() - count / 2, order.end());
  return chosen;
}

}  // namespace frf
