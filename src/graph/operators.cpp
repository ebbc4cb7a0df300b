// SPDX-License-Identifier: Apache-2.0
// The table of operators. Subtle: the counts cover opsets 11 to 21, where several operators took attributes
// first and inputs later (Squeeze, Split, ReduceSum): Validate() checks which of the two forms a node has.
#include "graph/operators.h"

#include <string>
#include <unordered_map>

namespace frf {
namespace {

constexpr int kAny = -1;

std::vector<OperatorInfo> MakeTable() {
  std::vector<OperatorInfo> table;
  for (const char* name : {"Relu",
                           "LeakyRelu",
                           "Elu",
                           "Sigmoid",
                           "HardSigmoid",
                           "HardSwish",
                           "Tanh",
                           "Softplus",
                           "Softmax",
                           "LogSoftmax",
                           "Neg",
                           "Abs",
                           "Exp",
                           "Log",
                           "Sqrt",
                           "Reciprocal",
                           "Ceil",
                           "Floor",
                           "Round",
                           "Cos",
                           "Sin",
                           "Erf",
                           "Sign",
                           "Not",
                           "Shape",
                           "Size",
                           "Cast",
                           "Identity",
                           "Flatten",
                           "Transpose",
                           "DepthToSpace",
                           "SpaceToDepth",
                           "GlobalAveragePool",
                           "GlobalMaxPool",
                           "ConstantOfShape",
                           "ArgMax"}) {
    table.push_back({name, "", 1, 1, 1, 1});
  }
  for (const char* name :
       {"Atan", "Tan", "Celu", "Gelu", "Mish", "Selu", "Softsign", "ThresholdedRelu", "IsInf", "IsNaN"}) {
    table.push_back({name, "", 1, 1, 1, 1});
  }
  for (const char* name : {"CastLike", "CumSum", "GatherElements", "GatherND"}) {
    table.push_back({name, "", 2, 2, 1, 1});
  }
  for (const char* name : {"ReduceProd", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"}) {
    table.push_back({name, "", 1, 2, 1, 1});
  }
  for (const char* name : {"ScatterElements", "ScatterND"}) table.push_back({name, "", 3, 3, 1, 1});
  for (const char* name : {"Add",
                           "Sub",
                           "Mul",
                           "Div",
                           "Pow",
                           "Mod",
                           "MatMul",
                           "PRelu",
                           "Equal",
                           "Less",
                           "LessOrEqual",
                           "Greater",
                           "GreaterOrEqual",
                           "And",
                           "Or",
                           "Xor",
                           "Gather",
                           "Expand",
                           "Tile",
                           "Reshape"}) {
    table.push_back({name, "", 2, 2, 1, 1});
  }
  for (const char* name : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "Squeeze", "Unsqueeze"}) {
    table.push_back({name, "", 1, 2, 1, 1});
  }
  for (const char* name : {"Max", "Min", "Sum", "Mean", "Concat"}) table.push_back({name, "", 1, kAny, 1, 1});
  table.insert(table.end(), {
                                {"Conv", "", 2, 3, 1, 1},
                                {"ConvTranspose", "", 2, 3, 1, 1},
                                {"BatchNormalization", "", 5, 5, 1, 5},
                                {"InstanceNormalization", "", 3, 3, 1, 1},
                                {"GroupNormalization", "", 3, 3, 1, 1},
                                {"LayerNormalization", "", 2, 3, 1, 3},
                                {"Gemm", "", 2, 3, 1, 1},
                                {"Clip", "", 1, 3, 1, 1},
                                {"Split", "", 1, 2, 1, kAny},
                                {"Slice", "", 1, 5, 1, 1},
                                {"Pad", "", 1, 4, 1, 1},
                                {"Range", "", 3, 3, 1, 1},
                                {"Where", "", 3, 3, 1, 1},
                                {"Constant", "", 0, 0, 1, 1},
                                {"Dropout", "", 1, 3, 1, 2},
                                {"MaxPool", "", 1, 1, 1, 2},
                                {"AveragePool", "", 1, 1, 1, 1},
                                {"MaxUnpool", "", 2, 3, 1, 1},
                                {"Resize", "", 1, 4, 1, 1},
                                {"QuantizeLinear", "", 2, 3, 1, 1},
                                {"DequantizeLinear", "", 2, 3, 1, 1},
                                {"AdaptiveAveragePool", "frf", 1, 1, 1, 1},
                                {"ResizeLike", "frf", 2, 2, 1, 1},
                                {"Unpool", "frf", 3, 3, 1, 1},
                                {"SpectralPool", "frf", 1, 1, 1, 1},
                                {"DropChannels", "frf", 1, 1, 1, 1},
                                {"FakeQuantize", "frf", 1, 1, 1, 1},
                                {"FakeQuantizeWeight", "frf", 1, 1, 1, 1},
                            });
  return table;
}

}  // namespace

const std::vector<OperatorInfo>& Operators() {
  static const std::vector<OperatorInfo> table = MakeTable();
  return table;
}

const OperatorInfo* FindOperator(std::string_view name, std::string_view domain) {
  static const auto index = [] {
    std::unordered_map<std::string, const OperatorInfo*> map;
    for (const OperatorInfo& info : Operators())
      map.emplace(std::string(info.domain) + ":" + std::string(info.name), &info);
    return map;
  }();
  const auto it = index.find(std::string(domain) + ":" + std::string(name));
  return it == index.end() ? nullptr : it->second;
}

}  // namespace frf
