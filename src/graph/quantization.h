// SPDX-License-Identifier: Apache-2.0
// What a quantised file says about rounding, apart from its weights, and the graph that is trained under it.
//
//   Graph ready = ReadyToTrain(BuildNet("frfnet", options), {360, 480}, table, "q.onnx");   // then load
//   weights Graph trained = InsertFakeQuantization(ready, table);                  // what frf-train
//   differentiates
//
// Subtle: values are known by their names in the ready graph (batch norm folded, running sums unrolled). A
// file that frf wrote has these names whether it was quantised from a run folder or from an ONNX file, since
// lowering keeps the names of what it lowers.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/json.h"
#include "graph/graph.h"
#include "graph/tensor.h"

namespace frf {

struct ValueCoding {  // uint8 per tensor: value = (byte - zero) * step
  float step = 1;
  int zero = 0;
  bool operator==(const ValueCoding&) const = default;
};

struct QuantizationTable {
  std::map<std::string, ValueCoding> values;  // rounded behind the node that makes them
  std::set<std::string> convolutions;         // by name: their weights are rounded, others stay float
  bool empty() const { return values.empty() && convolutions.empty(); }
  bool operator==(const QuantizationTable&) const = default;
};
Json ToJson(const QuantizationTable& table);
QuantizationTable QuantizationTableFromJson(const Json& json, const std::string& file);

// The float graph that rounding is put into: ready for inference, batch norm folded, running sums unrolled,
// weights unshared. Weights must have data.
Graph ReadyToQuantize(const Graph& graph, const Shape& input);

// As above, for a network as BuildNet makes it, its weights drawn anew (load others by name), with a bias for
// every convolution of the table (a file has one for each, "<node>.bias" where the network has none). Throws
// kUnsupported naming the first value or convolution of the table that the graph does not have; `file`: the
// table's. Sizes of 0 are not known.
struct TrainedSize {
  int height = 0, width = 0;
};
Graph ReadyToTrain(const Graph& net, TrainedSize size, const QuantizationTable& table,
                   const std::string& file);

// Behind each value of the table a FakeQuantize, "<value>.dq", which all readers get but those that ask for
// its size alone; a FakeQuantizeWeight, "<weight>.dq", in front of each of its convolutions. Biases stay
// float.
Graph InsertFakeQuantization(const Graph& ready, const QuantizationTable& table);

}  // namespace frf
