// SPDX-License-Identifier: Apache-2.0
// The state that the parts of lowering share; included by lower*.cpp alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/plan/ir.h"
#include "engine/plan/prepare.h"

namespace frf::engine {

class Lowering {
 public:
  explicit Lowering(const PreparedGraph& prepared);
  Lowered Run() &&;

 private:
  // lower.cpp: values and their forms
  bool IsMap(const std::string& name) const;  // float32, 1 x C x H x W, all above 0
  const Shape& ShapeOf(const std::string& name) const { return types_.at(name).shape; }
  const Tensor* ConstantOf(const std::string& name) const;  // null: not an initialiser
  int UsesOf(const std::string& name) const;
  int MapOf(const std::string& name);  // value id of the map; converts a plain tensor or constant when needed
  int DenseMapOf(const std::string& name);  // without gaps
  int FloatMapOf(const std::string& name);  // without gaps or coding
  std::optional<kernels::Coding> CodingOf(const std::string& name) const;
  // Where an operation that knows floats alone puts value `name`, and what is emitted after it: rounding, if
  // there is a coding.
  int FloatResult(const std::string& name);
  void RoundResult(const std::string& name, int floats);
  void EmitCopy(const std::string& name, int src, int dst);  // between codings
  int PlainOf(const std::string& name);                      // likewise the other way
  int NewMap(const std::string& name);                       // with the name's shape, not yet produced
  int NewMapLike(const std::string& name, int channels, int height, int width);
  void Emit(const std::string& name, Operation op) { lowered_.ops.push_back({name, std::move(op)}); }
  void LowerInput();
  void LowerNode(int n);
  void LowerPlain(const Node& node);
  void RoundPlain(const std::string& name);
  void LowerOutputs();
  bool TryOutput(const GraphOutput& output);
  void PlanConcats();

  // lower_conv.cpp
  bool TryConv(int n);
  bool TryConvTranspose(const Node& node);
  // The node that alone reads `value`, if it is one of ONNX's.
  const Node* OnlyReader(const std::string& value) const;
  bool TakeActivation(const Node& node, ConvOp& conv) const;
  // Activations that are bounds of a rounded result; others are computed on floats and rounded apart.
  static bool ActsOnBytes(kernels::Act act) {
    return act == kernels::Act::kNone || act == kernels::Act::kRelu || act == kernels::Act::kClip;
  }
  const QuantizedWeight* IntegersOf(
      const Node& conv) const;  // null: it is no convolution of bytes by integers

  // lower_element.cpp
  void PlanGroups();  // which element-wise nodes run together, by their last one
  bool TryElement(int n);
  bool IsElementNode(const Node& node) const;
  struct Group;
  void AddNodeToProgram(const Node& node, ElementOp& op, std::unordered_map<std::string, int>& registers,
                        int& next);
  int OperandRegister(const std::string& name, const std::string& result, ElementOp& op,
                      std::unordered_map<std::string, int>& registers);
  std::optional<ElementInput> ResizedInput(const Node& resize);

  // lower_moves.cpp
  bool TryPool(const Node& node);
  bool TryGlobalPool(const Node& node);
  bool TryWeightedPool(int n);
  bool TryConcat(int n);
  bool TrySlice(const Node& node);

  const Graph& graph_;
  const TypeMap& types_;
  GraphIndex index_;
  Lowered lowered_;
  std::shared_ptr<const Quantization> quantization_;    // null: nothing is
  std::unordered_map<std::string, int> maps_, plains_;  // value name -> id
  std::unordered_map<int, int> floats_;                 // map with a coding -> the same as floats
  std::vector<bool> done_;                              // nodes that another one took along
  std::unordered_map<std::string, std::pair<int, int>>
      slots_;                                         // value -> (concatenation's value, channel offset)
  std::unordered_map<int, std::vector<int>> groups_;  // last node -> all nodes of the group, in order
  std::unordered_map<int, int> group_of_;             // node -> last node
};

// Resize tables of a node Resize between two maps along H and W; nothing where it is not linear or nearest.
struct ResizeTables {
  std::vector<kernels::Tap> rows, columns;
};
std::optional<ResizeTables> TablesOf(const Node& node, const Shape& src, const Shape& dst, int opset,
                                     const std::vector<Tensor>& constants);

}  // namespace frf::engine
