// SPDX-License-Identifier: Apache-2.0
// A Graph as a differentiable libtorch module: parameters and states become the module's, nodes run in order,
// values are freed after their last use. The graph is the same object that every other reader uses.
//
//   GraphModule module(graph);              // weights from the graph's initialisers
//   auto scores = module.Forward(images).at("scores");
//
// Subtle: on a CPU with AVX-512, in float32, convolutions and what surrounds them run in kernels of our own
// on channel-blocked maps (blocked.h), with Winograd where it exists; everywhere else libtorch's operators
// run. SetKernels or FRF_TRAIN_KERNELS (winograd, direct, plain) choose. One golden file holds all three:
// libtorch's operators in double precision, our kernels in float32, to 1e-4, where they run at all. Last bits
// differ between the three, and oneDNN's convolutions may differ with the number of threads.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "train/channel_masks.h"

namespace frf {

torch::Tensor ToTorch(const Tensor& tensor);    // copies
Tensor FromTorch(const torch::Tensor& tensor);  // copies to the CPU, contiguous

class Distributed;
struct ProgramStep;
enum class Kernels { kPlain, kDirect, kWinograd };

class GraphModule : public torch::nn::Module {
 public:
  // Every initialiser must have data (InitializeWeights). Names become "stem.conv1.weight" entries of
  // NamedTensors().
  explicit GraphModule(Graph graph);

  // `images`: float32 N x 3 x H x W. Returns every graph output by name. In training mode batch norm uses the
  // batch's statistics and updates the running ones (unbiased variance, momentum 0.1), dropout drops.
  std::map<std::string, torch::Tensor> Forward(const torch::Tensor& images);

  // What a loss wants: as Forward, but an output that ends in a bilinear upsampling to the image comes
  // without it, under the same name. Losses upsample to the labels' size themselves (labels have the image's
  // size in training).
  std::map<std::string, torch::Tensor> ForwardForLoss(const torch::Tensor& images);

  // Any intermediate value besides the outputs (for tests and module statistics), and replacements for
  // values.
  std::map<std::string, torch::Tensor> Forward(const torch::Tensor& images,
                                               const std::vector<std::string>& wanted,
                                               const std::map<std::string, torch::Tensor>& replaced);

  struct Named {
    std::string name;
    torch::Tensor tensor;
    Role role;
    bool classifier;
  };
  const std::vector<Named>& tensors() const {
    return tensors_;
  }                                               // parameters and states in the graph's order
  std::vector<torch::Tensor> Parameters() const;  // role kParameter, in order

  // Chance of dropout: masks derive from (seed, step, node), so a resumed run drops what the first would
  // have. Call before every training step; without it the step stays 0.
  void SetChance(std::uint64_t seed, std::uint64_t step);

  // Images given from now on are a slice of a batch that several processes share, from `first_image` on: in
  // training batch norm covers the whole batch, dropout drops what one process would have. Null: alone.
  void SetDistributed(Distributed* distributed, std::int64_t first_image);

  // Overwrites the values of parameters and states with the graph's initialisers of the same name (same
  // shapes).
  void Load(const Graph& weights);

  const Graph& graph() const { return graph_; }
  // The graph with the module's present values in its initialisers.
  Graph Export() const;
  void To(torch::Device device);
  void To(torch::ScalarType type);  // float64 for comparisons; trained weights are float32

  void SetKernels(Kernels kernels);
  Kernels kernels() const { return kernels_; }
  // Whether Forward on such images would use the channel-blocked kernels.
  bool UseBlocked(const torch::Tensor& images) const;

 private:
  Graph graph_;
  std::vector<Named> tensors_;
  ChannelMasks masks_;
  Distributed* distributed_ = nullptr;
  Kernels kernels_;
  struct Program;
  std::shared_ptr<Program> program_;

  void Compile();
  void Convert(const std::function<torch::Tensor(const torch::Tensor&)>& convert);
  void RunStep(const ProgramStep& step, std::vector<torch::Tensor>& values, const std::vector<bool>& given);
};

}  // namespace frf
