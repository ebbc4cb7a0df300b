// SPDX-License-Identifier: Apache-2.0
// The plain executor: every operator in straightforward C++, convolutions and matrix products by one oneDNN
// primitive each, nothing fused. It is the reference that everything else is tested against, and what folds
// constants.
//
//   PlainExecutor executor(graph.ForInference(), {.threads = 2});
//   Tensor scores = executor.Run({{"image", image}}).at("scores");
//
// Subtle: shapes come from the actual values as they flow, so graphs with free sizes just run; every
// allocation is counted against max_memory before it is made.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace frf {

using TensorMap = std::map<std::string, Tensor>;

struct PlainOptions {
  int threads = 0;  // 0: DefaultThreads()
  std::uint64_t max_memory =
      0;  // bytes alive at once; 0: DefaultMaxMemory(). Above: kOutOfMemory before allocating.
};

class PlainExecutor {
 public:
  explicit PlainExecutor(Graph graph, const PlainOptions& options = {});
  ~PlainExecutor();
  PlainExecutor(PlainExecutor&&) noexcept;

  // Runs on `feeds`: graph inputs, and any intermediate value that is to be replaced (the FFM masks of a
  // reference, for instance). Returns the graph's outputs, or the values named in `wanted`. `before` is
  // called before each node that runs, with a way to look at (and replace) the values that are alive.
  using NodeObserver =
      std::function<void(const Node&, const std::function<Tensor&(const std::string&)>& value)>;
  TensorMap Run(const TensorMap& feeds, const std::vector<std::string>& wanted = {},
                const NodeObserver& before = {});

  const Graph& graph() const;
  std::uint64_t peak_bytes() const;  // most bytes alive at once so far: values, temporaries, packed weights

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Runs one node on concrete inputs (position = input index; an empty optional input is a Tensor with shape
// {0} and no data). What constant folding and the operator tests use.
std::vector<Tensor> RunNode(const Node& node, const std::vector<Tensor>& inputs, int opset,
                            const PlainOptions& options = {});

// Replaces every node whose inputs are all constants by an initialiser (role kConstant); at most max_bytes an
// output.
Graph FoldConstants(const Graph& graph, std::uint64_t max_bytes = std::uint64_t{64} << 20);

// FoldBatchNorm is defined in graph/passes.cpp, where the ONNX writer can reach it too; it is only named
// here.
Graph FoldBatchNorm(const Graph& graph);

// Sets batch-norm means and variances so that every normalised channel has mean 0 and variance 1 on `image`:
// random weights with sane statistics, for `frf export NET` and benchmarks.
void CalibrateBatchNorm(Graph& graph, const Tensor& image);

}  // namespace frf
