// SPDX-License-Identifier: Apache-2.0
// Subtle: batch norm's statistics are averaged like everything else. Those of the mean network are not known
// without images, and runs that stayed close to each other have them close.
#include "train/mean_weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "frf/error.h"
#include "train/plan.h"

namespace frf {
namespace {

// Adds the graph's values, times `share`, to the sums: a vector for each initialiser that is trained.
void Accumulate(const Graph& graph, double share, std::vector<std::vector<double>>& sums) {
  std::size_t i = 0;
  for (const Initializer& initializer : graph.initializers) {
    if (initializer.role == Role::kConstant) continue;
    const auto values = initializer.value.ToVector<double>();
    if (i == sums.size()) sums.emplace_back(values.size());
    for (std::size_t k = 0; k < values.size(); ++k) sums[i][k] += share * values[k];
    ++i;
  }
}

// Auxiliary heads and dropout are gone from the networks whose weights are averaged.
Json InferenceOptions(Json options) {
  options.erase("aux");
  options.erase("dropout");
  return options;
}

bool SameKind(const ModelInfo& a, const ModelInfo& b) {
  return a.net == b.net && InferenceOptions(a.net_options) == InferenceOptions(b.net_options) &&
         a.classes.names == b.classes.names && a.weights == b.weights && a.input.mean == b.input.mean &&
         a.input.std == b.input.std;
}

}  // namespace

Graph MeanOfRuns(const std::vector<std::string>& runs, bool raw, bool last, ModelInfo& info) {
  Graph graph = LoadRunGraph(runs.front(), raw, last, info);
  if (runs.size() == 1) return graph;
  const double share = 1.0 / static_cast<double>(runs.size());
  std::vector<std::vector<double>> sums;
  Accumulate(graph, share, sums);
  for (std::size_t n = 1; n < runs.size(); ++n) {
    ModelInfo other;
    const Graph next = LoadRunGraph(runs[n], raw, last, other);
    if (!SameKind(info, other)) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("{} and {} differ in network, options, classes or the mean and deviation of their "
                      "input; only weights of one kind have a mean",
                      runs.front(), runs[n]));
    }
    Accumulate(next, share, sums);
  }
  std::size_t i = 0;
  for (Initializer& initializer : graph.initializers) {
    if (initializer.role == Role::kConstant) continue;
    Tensor mean = Tensor::Uninitialized(DType::kFloat32, initializer.value.shape());
    std::transform(sums[i].begin(), sums[i].end(), mean.data<float>(),
                   [](double sum) { return static_cast<float>(sum); });
    initializer.value = mean.Cast(initializer.value.dtype());
    ++i;
  }
  info.train["mean_of"] = runs.size();
  info.eval = Json::array();
  return graph;
}

}  // namespace frf
