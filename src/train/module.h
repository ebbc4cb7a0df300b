// SPDX-License-Identifier: Apache-2.0
// A Graph as a differentiable libtorch module: parameters and states become the module's, nodes run in order, values are
// freed after their last use. The graph is the same object that every other reader uses.
//
//   GraphModule module(graph);              // weights from the graph's initialisers
//   auto scores = module.Forward(images).at("scores");
#pragma once

#include <torch/torch.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace frf {

torch::Tensor ToTorch(const Tensor& tensor);    // copies
Tensor FromTorch(const torch::Tensor& tensor);  // copies to the CPU, contiguous

class GraphModule : public torch::nn::Module {
 public:
  // Every initialiser must have data (InitializeWeights). Names become "stem.conv1.weight" entries of NamedTensors().
  explicit GraphModule(Graph graph);

  // `images`: float32 N x 3 x H x W. Returns every graph output by name. In training mode batch norm uses the batch's
  // statistics and updates the running ones (unbiased variance, momentum 0.1), dropout drops.
  std::map<std::string, torch::Tensor> Forward(const torch::Tensor& images);

  // Any intermediate value besides the outputs (for tests and module statistics), and replacements for values.
  std::map<std::string, torch::Tensor> Forward(const torch::Tensor& images, const std::vector<std::string>& wanted,
                                               const std::map<std::string, torch::Tensor>& replaced);

  struct Named {
    std::string name;
    torch::Tensor tensor;
    Role role;
    bool classifier;
  };
  const std::vector<Named>& tensors() const { return tensors_; }  // parameters and states in the graph's order
  std::vector<torch::Tensor> Parameters() const;                  // role kParameter, in order

  const Graph& graph() const { return graph_; }
  // The graph with the module's present values in its initialisers.
  Graph Export() const;
  void To(torch::Device device);

 private:
  Graph graph_;
  std::vector<Named> tensors_;
  struct Program;
  std::shared_ptr<Program> program_;
};

}  // namespace frf
