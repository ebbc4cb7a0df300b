// SPDX-License-Identifier: Apache-2.0
// Between the files of shape inference: what a rule for one node sees, and the evaluation of small tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/shapes.h"

namespace frf {

// One node with the types of its inputs and, where they are known and small, their values.
struct RuleContext {
  const Node& node;
  int opset = 17;
  bool planar_indices = false;            // MaxPool's indices go to Unpool alone: int32 within one plane
  std::vector<const TensorType*> inputs;  // nullptr: optional input left out
  std::vector<const Tensor*> values;      // nullptr: not known

  [[noreturn]] void Fail(const std::string& message) const;         // kInvalidArgument, starts with the node
  [[noreturn]] void Unsupported(const std::string& message) const;  // kUnsupported
  bool Has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const TensorType& Input(std::size_t i) const;
  const Shape& ShapeOf(std::size_t i) const { return Input(i).shape; }
  DType TypeOf(std::size_t i) const { return Input(i).dtype; }
  bool Known(std::size_t i) const { return i < values.size() && values[i] != nullptr; }
  // Integer values of input i; fails when they are not known (they depend on the picture, or are too many).
  std::vector<std::int64_t> Ints(std::size_t i, const char* what) const;
  // From input i or else attribute `key` (older opsets); nothing when the node has neither. Where a file
  // gives both, the input counts: the executor reads them in this order too.
  std::optional<std::vector<std::int64_t>> InputOrAttribute(std::size_t i, const std::string& key) const;
  std::int64_t Axis(std::int64_t axis, std::size_t rank) const;  // negative ones count from the back
  void WantRank(std::size_t i, std::size_t rank) const;
  void WantAtLeast(std::size_t i, std::size_t rank) const;
};

using NodeTypes = std::vector<TensorType>;

// Types of all outputs. Throws kInvalidArgument or kUnsupported naming the node.
NodeTypes InferNode(const RuleContext& context);

// Rules by family; nothing when the operator belongs to another one.
std::optional<NodeTypes> InferWindow(
    const RuleContext& context);  // convolutions, pooling, resizing, domain frf
std::optional<NodeTypes> InferMoves(const RuleContext& context);  // reshape, slice, concat, gather, pad, ...

Shape BroadcastShapes(const RuleContext& context, const Shape& a, const Shape& b);

// A slice's plan, shared by its shape and its values: per axis of the input start, step and count.
struct SlicePlan {
  std::vector<std::int64_t> start, step, count;
};
SlicePlan PlanSlice(const RuleContext& context);

// The value of the first output, where the operator is known arithmetic on known small inputs. `types`:
// InferNode's.
inline constexpr std::int64_t kMaxKnownElements = 4096;
std::optional<Tensor> EvaluateNode(const RuleContext& context, const NodeTypes& types);

}  // namespace frf
