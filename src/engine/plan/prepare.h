// SPDX-License-Identifier: Apache-2.0
// A graph made ready for one input size: standard operators only, every shape known, everything constant
// folded, batch norm gone into the convolutions, running sums unrolled.
//
//   PreparedGraph prepared = Prepare(PrepareOnce(model.graph), {1, 3, 512, 1024});
//
// Each rewrite computes the same function; the tests hold both forms to 1e-5.
#pragma once

#include <memory>

#include "engine/plan/quantized.h"
#include "graph/graph.h"
#include "graph/shapes.h"

namespace frf::engine {

struct PreparedGraph {
  Graph graph;
  TypeMap types;                                     // of every value
  std::shared_ptr<const Quantization> quantization;  // null: nothing is
};

// Throws kInvalidArgument where the shape does not fit the graph.
PreparedGraph Prepare(const Graph& graph, const Shape& input);

// The part of Prepare that does not depend on the input's size, done once for a model: its main output alone,
// ForInference, constants (half precision weights stand behind Casts; those in 8 bits stay so), batch norm.
Graph PrepareOnce(const Graph& graph);

// Shape and Size of values whose shape is known become constants.
Graph FixShapes(const Graph& graph, const TypeMap& types);

}  // namespace frf::engine
