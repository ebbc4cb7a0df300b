// SPDX-License-Identifier: Apache-2.0
// What QuantizeLinear and DequantizeLinear say, taken out of a graph: which values are rounded to 8 bits, and
// which weights are integers.
//
//   Quantization quantization;
//   Graph plain = TakeQuantization(graph, quantization);
//
// Meaning: a chain y -> QuantizeLinear -> DequantizeLinear -> x becomes one value x, with a coding in the
// table. Whoever produces x rounds it to numbers (byte - zero) * step, byte in [0, 255]. Computing the new
// graph so gives what the old one's literal evaluation gives.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "engine/kernels/kernels.h"
#include "graph/graph.h"

namespace frf::engine {

struct QuantizedWeight {
  Tensor values;              // int8, out x in x kh x kw
  std::vector<float> scales;  // one, or one an output channel: weight = value * scale
};

struct Quantization {
  std::unordered_map<std::string, kernels::Coding> codings;  // by value
  std::unordered_map<std::string, QuantizedWeight> weights;  // by initialiser
  bool empty() const { return codings.empty() && weights.empty(); }
};

// Chains per tensor, of uint8 or int8 (whose bytes are then 128 higher), that end in DequantizeLinear alone;
// others stay as they are, for the plain executor. Quantised initialisers become floats; those of int8
// without a zero point are kept in `weights` too.
Graph TakeQuantization(const Graph& graph, Quantization& quantization);

}  // namespace frf::engine
