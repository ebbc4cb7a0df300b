// SPDX-License-Identifier: Apache-2.0
// What stands between a prepared graph and the steps that run: values with a place in memory, and operations
// on them.
//
//   graph (ONNX names) --Lower--> Program of operations on values --Arrange--> offsets in one arena --> steps
//
// Subtle: a value of rank 4 and batch 1 is a map: HWC, channels padded to 16 (kernels.h). A part of a
// concatenation is a slice of the whole's memory: `parent` and `offset`. Where parts are no multiple of 16,
// each begins at one all the same and the whole has gaps; only convolutions read such a value, by weights
// with zero rows.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/kernels/maps.h"
#include "engine/kernels/program.h"
#include "engine/plan/quantized.h"
#include "graph/graph.h"
#include "graph/shapes.h"

namespace frf::engine {

struct Value {
  std::string name;
  bool map = true;  // else a plain tensor, kept as the plain executor keeps it
  int channels = 0, height = 1, width = 1;
  std::vector<int> parts;       // true channels of a concatenation with gaps; empty: no gaps
  int parent = -1, offset = 0;  // slice of another map, in padded channels
  Tensor constant;              // of a plain value; or of a map in NCHW
  // Of a plain value that a node makes: what everything behind it was planned for.
  std::optional<TensorType> type;
  // A map that is rounded to 8 bits (quantized.h): bytes where the CPU has a dot product for them, else the
  // floats that they stand for.
  std::optional<kernels::Coding> coding;
  int padded() const {
    if (parts.empty()) return kernels::PaddedChannels(channels);
    int total = 0;
    for (const int part : parts) total += kernels::PaddedChannels(part);
    return total;
  }
};

struct ConvOp {
  int src = -1, dst = -1;
  Tensor weight, bias;  // out x in/groups x kh x kw; bias may be empty
  // Of a convolution of bytes by integers: src has a coding; dst has one, or none and gets floats; with
  // `sum`, all have one.
  std::optional<QuantizedWeight> integers;
  int groups = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1, pad_top = 0, pad_left = 0;
  kernels::Act act = kernels::Act::kNone;
  float alpha = 0, beta = 0;
  int add = -1, sum = -1;
  bool add_first = false;
  // Transposed convolutions come as one convolution a phase: output pixel (y * phase_h + phase_y, ...).
  int phase_h = 1, phase_w = 1, phase_y = 0, phase_x = 0;
};

struct ElementInput {
  int value = -1;
  kernels::ProgramInput::Kind kind = kernels::ProgramInput::kMap;
  std::vector<kernels::Tap> rows, columns;  // kResized
};

struct ElementOp {
  std::vector<ElementInput> inputs;
  std::vector<kernels::ProgramInstruction> code;
  int dst = -1, result = 0;  // register
};

// A convolution whose result only an element-wise program reads: item by item, so that the result never
// leaves L2.
struct ConvElementOp {
  ConvOp conv;  // its dst is nowhere in memory
  ElementOp element;
  int input = 0;  // of the program: the convolution's result
};

struct PoolOp {
  int src = -1, dst = -1;
  kernels::Pool geometry;  // without its maps
};

struct WeightedPoolOp {
  int src = -1, dst = -1;
  std::vector<float> rows, columns;  // height or width x padded channels; empty: ones
  float scale = 1;
};

struct CopyChannelsOp {  // `count` channels to an offset that need not be aligned
  int src = -1, dst = -1, from = 0, to = 0, count = 0;
  bool clear_tail = false;  // zero the padding above the last channel
};

struct ToMapOp {
  int src = -1, dst = -1;
};  // plain tensor -> map
struct ToPlainOp {
  int src = -1, dst = -1;
};  // map -> plain tensor

struct PlainNodeOp {  // whatever has no kernel: the plain executor's operator
  Node node;
  std::vector<int> inputs, outputs;  // plain values; -1 = left out
};

struct PictureOp {
  int dst = -1;
  bool bordered = false;
};                 // the graph's input
struct OutputOp {  // scores at `value`, to be resized by the taps, as labels or as scores
  int value = -1;
  std::string output;         // as the graph calls it
  bool labels = false;        // the graph itself gives labels
  int height = 0, width = 0;  // of the graph's output
  std::vector<kernels::WideTap> rows, columns;
};
struct PlainOutputOp {  // a graph output that is no map; its last two dimensions
  int value = -1, height = 0, width = 0;
};

using Operation = std::variant<ConvOp, ElementOp, ConvElementOp, PoolOp, WeightedPoolOp, CopyChannelsOp,
                               ToMapOp, ToPlainOp, PlainNodeOp, PictureOp, OutputOp, PlainOutputOp>;

struct NamedOperation {
  std::string name;  // of the node, or nodes joined by "+"
  Operation op;
};

struct Lowered {
  std::vector<Value> values;
  std::vector<NamedOperation> ops;
  int opset = 17;
  int picture = -1;                            // the input's value
  std::optional<kernels::PictureTable> table;  // an 8-bit input's normalisation inside the graph
};

// Values that an operation reads and writes (never -1).
std::vector<int> Reads(const Operation& op);
std::vector<int> Writes(const Operation& op);

}  // namespace frf::engine
