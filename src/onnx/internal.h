// SPDX-License-Identifier: Apache-2.0
// What the files of this room share; no other room includes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/model_info.h"
#include "graph/graph.h"

namespace frf {

// TensorProto.DataType, as Cast's `to` names it.
inline constexpr std::int64_t kOnnxFloat = 1, kOnnxUint8 = 2, kOnnxHalf = 10;

// The image: the input of that name, else the first one.
GraphInput& ImageInput(Graph& graph);
const GraphInput& ImageInput(const Graph& graph);

// Classes that the main output gives scores of; nothing where it gives labels (integers, of any rank) or its
// type does not say.
std::optional<std::int64_t> ScoreClasses(const Graph& graph);

// No operators beyond ONNX's are left.
bool IsLowered(const Graph& graph);

// Variants of a lowered graph (variants.cpp). Each renames what it puts itself in front of or behind.
void AddUint8Input(Graph& graph,
                   const InputSpec& input);  // uint8 1x3xHxW in; (pixel - mean) / std in the graph
void AddArgMax(Graph& graph);                // scores -> uint8 labels 1xHxW, the lowest id wins ties
void StoreHalf(Graph& graph);                // weights of rank 2 and more as FLOAT16, each followed by Cast

}  // namespace frf
