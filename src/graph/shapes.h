// SPDX-License-Identifier: Apache-2.0
// Shape inference for one input size, and what follows from it: cost by layer.
// Subtle: shape arithmetic (Shape, Slice, Gather, Concat, ...) is evaluated on the way for small integer and
// float tensors, so graphs with free sizes resolve fully once the input's size is given.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"

namespace frf {

struct TensorType {
  DType dtype = DType::kFloat32;
  Shape shape;
};
using TypeMap =
    std::unordered_map<std::string, TensorType>;  // every value of the graph, initialisers included

// `inputs`: shapes for the graph's inputs (others keep what they declare). Throws kInvalidArgument naming the
// node where shapes do not fit, kUnsupported for an operator without a rule.
TypeMap InferShapes(const Graph& graph, const std::map<std::string, Shape>& inputs);

// For the usual network: one image input of 1 x C x height x width.
TypeMap InferShapes(const Graph& graph, int height, int width);

// Elements that Resize makes of `size` by a scale: the product is taken in float and rounded down, as ONNX
// Runtime does. 40 * 0.7f is 28 in float, 27 in double; shape inference and the executor both ask here.
std::int64_t ScaledSize(std::int64_t size, float scale);

struct LayerCost {
  std::string node, op;
  Shape output;
  std::int64_t params = 0;    // trained parameters of this node
  std::int64_t macs = 0;      // multiply-accumulates of convolutions and linear layers, the paper's "FLOPs"
  std::int64_t macs_all = 0;  // plus products of attention (MatMul of two activations) and spectral pooling
  std::int64_t bytes = 0;     // of the outputs, float32
  int receptive_field = 0;    // pixels of the input along one axis; 0 = the whole image
};

struct Cost {
  std::vector<LayerCost> layers;
  std::int64_t params = 0, macs = 0, macs_all = 0;
  std::int64_t activation_bytes = 0;  // sum over all values
  std::int64_t peak_bytes = 0;        // most bytes alive at once when each value dies after its last use
};

Cost CountCost(const Graph& graph, const TypeMap& types);

// The graph as a standalone SVG: layers top to bottom, stages grouped by scope, sizes on the edges.
std::string DrawSvg(const Graph& graph, const TypeMap& types, const Cost& cost);

}  // namespace frf
