// SPDX-License-Identifier: Apache-2.0
// Post-training quantisation of a graph, as ONNX means it: QuantizeLinear and DequantizeLinear around what
// runs on integers.
//
//   ReadyGraph ready = ReadyForQuantization(model.graph, {1, 3, 360, 480});
//   StatisticsCollector collector(ready.graph, MeasuredValues(ready));  ... collector.Add(image) ...
//   Graph quantized = InsertQuantization(ready, collector.statistics(), {.range = {RangeKind::kMse}});
//
// Which values: the inputs of every ungrouped convolution that does not stay float; what a concatenation is
// made of, and what a maximum pool reads, in the coding of the result; and maps of such convolutions that
// several nodes or a resize read. What stands between them (gates, masks, attention) stays float in the file
// with one QuantizeLinear behind it, and so do scores. A map with a coding is rounded for all its readers.
// Activations: uint8, one coding a value; weights: int8 in [-127, 127], one scale an output channel (Jacob et
// al. 2018, Krishnamoorthi 2018); bias: int32 with scale s_x * s_w.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/quantize/statistics.h"
#include "graph/quantization.h"
#include "graph/shapes.h"

namespace frf::engine {

struct ReadyGraph {
  Graph graph;    // inference, constants and batch norm folded, running sums unrolled: all before rounding
  TypeMap types;  // at the size that was given; sizes in the graph stay as they were
};
// Throws kInvalidArgument naming the first convolution whose weights or biases are not finite.
ReadyGraph ReadyForQuantization(const Graph& graph, const Shape& input);

struct QuantizeScheme {
  RangeMethod range;
  std::set<std::string> float_nodes;  // convolutions that stay float, by name
  bool bias_correction = false;  // the mean that rounding of the weights adds to every output goes into the
                                 // bias (Nagel et al. 2019, section 4.2, with measured means)
};

// Cross-layer equalisation (Nagel et al. 2019, section 4.1): where a convolution with ReLU is read by another
// one alone, what a channel's weights are larger by in the one is given to the other. The function stays the
// same; statistics do not. Returns the number of pairs.
int EqualizeLayers(ReadyGraph& ready);

// Convolutions that may run on integers, in the graph's order.
std::vector<std::string> QuantizableNodes(const ReadyGraph& ready);

// Of an output channel whose largest weight is `largest`, behind a map of steps `step`: the largest is 127,
// but never so fine that the bias, in steps of scale * step, leaves 30 bits. Such weights are as good as
// zero beside the bias; a 31st bit is left to the sum of products, which other runtimes add in 32 bits.
float WeightScale(float largest, float bias, float step);

// What InsertQuantization wants statistics of.
std::vector<std::string> MeasuredValues(const ReadyGraph& ready);

Graph InsertQuantization(const ReadyGraph& ready, const std::map<std::string, ValueStatistics>& statistics,
                         const QuantizeScheme& scheme);

// The same with codings that were chosen before: what a network that was trained under them
// (InsertFakeQuantization) becomes.
Graph InsertQuantization(const Graph& ready, const QuantizationTable& table);

// The table of a quantised graph, and back to floats the weights and biases that stand in it as integers, by
// name. Throws kInvalidArgument where nothing is quantised, kUnsupported where a coding is not one uint8 or
// int8 coding a value, or where a convolution's weights have zero points.
QuantizationTable TableOf(const Graph& quantized, const std::string& file,
                          std::map<std::string, Tensor>& weights);

}  // namespace frf::engine
