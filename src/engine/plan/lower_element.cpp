// SPDX-License-Identifier: Apache-2.0
// Element-wise nodes that run together as one program. A group grows backwards from its last node: a producer
// joins when all its readers are members, so nothing outside ever waits for the inside of a group.
#include <algorithm>
#include <cmath>

#include "engine/plain_op.h"
#include "engine/plan/fuse_program.h"
#include "engine/plan/lowering.h"
#include "engine/resize.h"

namespace frf::engine {
namespace {

using kernels::ProgramInput;
using kernels::ProgramOp;

const std::unordered_map<std::string, ProgramOp>& UnaryOps() {
  static const std::unordered_map<std::string, ProgramOp> ops{{"Relu", ProgramOp::kRelu},
                                                              {"Sigmoid", ProgramOp::kSigmoid},
                                                              {"Tanh", ProgramOp::kTanh},
                                                              {"Neg", ProgramOp::kNeg},
                                                              {"Abs", ProgramOp::kAbs},
                                                              {"Sqrt", ProgramOp::kSqrt},
                                                              {"Exp", ProgramOp::kExp},
                                                              {"Log", ProgramOp::kLog},
                                                              {"Ceil", ProgramOp::kCeil},
                                                              {"Floor", ProgramOp::kFloor},
                                                              {"Round", ProgramOp::kRound},
                                                              {"Sign", ProgramOp::kSign},
                                                              {"Reciprocal", ProgramOp::kReciprocal},
                                                              {"Erf", ProgramOp::kErf},
                                                              {"Softplus", ProgramOp::kSoftplus},
                                                              {"Mish", ProgramOp::kMish},
                                                              {"Softsign", ProgramOp::kSoftsign},
                                                              {"HardSwish", ProgramOp::kHardSwish},
                                                              {"Identity", ProgramOp::kCopy},
                                                              {"Elu", ProgramOp::kElu},
                                                              {"Selu", ProgramOp::kSelu},
                                                              {"LeakyRelu", ProgramOp::kLeaky},
                                                              {"HardSigmoid", ProgramOp::kHardSigmoid}};
  return ops;
}

const std::unordered_map<std::string, ProgramOp>& BinaryOps() {
  static const std::unordered_map<std::string, ProgramOp> ops{
      {"Add", ProgramOp::kAdd}, {"Sub", ProgramOp::kSub},    {"Mul", ProgramOp::kMul},
      {"Div", ProgramOp::kDiv}, {"Max", ProgramOp::kMax},    {"Min", ProgramOp::kMin},
      {"Pow", ProgramOp::kPow}, {"PRelu", ProgramOp::kPRelu}};
  return ops;
}

Shape Padded(const Shape& shape) {
  Shape padded(shape.size() < 4 ? 4 - shape.size() : 0, 1);
  padded.insert(padded.end(), shape.begin(), shape.end());
  return padded;
}

// How an operand of that shape is spread over a map of `result`; nothing where it cannot be.
std::optional<ProgramInput::Kind> KindOf(const Shape& shape, const Shape& result) {
  const Shape s = Padded(shape);
  if (s.size() != 4 || s[0] != 1) return std::nullopt;
  if (s == result) return ProgramInput::kMap;
  if (s[2] == 1 && s[3] == 1) {
    if (s[1] == 1) return ProgramInput::kScalar;
    if (s[1] == result[1]) return ProgramInput::kVector;
    return std::nullopt;
  }
  if (s[1] == 1 && s[2] == result[2] && s[3] == result[3]) return ProgramInput::kPixel;
  return std::nullopt;
}

constexpr int kMaxGroup = 40;

}  // namespace

bool Lowering::IsElementNode(const Node& node) const {
  if (!node.domain.empty() || node.outputs.size() != 1 || !IsMap(node.outputs[0])) return false;
  const Shape& result = ShapeOf(node.outputs[0]);
  const auto fits = [&](const std::string& name) {
    const auto type = types_.find(name);
    if (type == types_.end() || type->second.dtype != DType::kFloat32) return false;
    return KindOf(type->second.shape, result).has_value() && (ConstantOf(name) != nullptr || IsMap(name));
  };
  if (node.Is("Clip")) {
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i].empty()) continue;
      const Tensor* bound = ConstantOf(node.inputs[i]);
      if (!bound || bound->size() != 1) return false;
    }
    return fits(node.inputs[0]);
  }
  if (UnaryOps().contains(node.op)) return fits(node.inputs[0]);
  if (node.Is("PRelu") && ConstantOf(node.inputs[1]) == nullptr) return false;
  return BinaryOps().contains(node.op) && node.inputs.size() == 2 && fits(node.inputs[0]) &&
         fits(node.inputs[1]);
}

void Lowering::PlanGroups() {
  const auto is_resize = [&](int n) {
    return graph_.nodes[n].domain.empty() && graph_.nodes[n].Is("Resize");
  };
  // An activation right after a convolution belongs to it.
  const auto belongs_to_conv = [&](int n) {
    const Node& node = graph_.nodes[n];
    ConvOp ignored;
    if (node.inputs.empty() || UsesOf(node.inputs[0]) != 1 || CodingOf(node.inputs[0]) ||
        !TakeActivation(node, ignored))
      return false;
    if (!ActsOnBytes(ignored.act) && CodingOf(node.outputs[0])) return false;
    const auto producer = index_.producer.find(node.inputs[0]);
    return producer != index_.producer.end() && graph_.nodes[producer->second].domain.empty() &&
           graph_.nodes[producer->second].Is("Conv");
  };
  for (int last = static_cast<int>(graph_.nodes.size()) - 1; last >= 0; --last) {
    if (group_of_.contains(last) || done_[last]) continue;  // done: the picture's normalisation
    const bool resize = is_resize(last);
    if ((!resize && !IsElementNode(graph_.nodes[last])) || belongs_to_conv(last)) continue;
    if (resize && !ResizedInput(graph_.nodes[last])) continue;
    const Shape& result = ShapeOf(graph_.nodes[last].outputs[0]);
    std::vector<int> members{last};
    for (std::size_t i = 0; i < members.size() && members.size() < kMaxGroup; ++i) {
      if (is_resize(members[i])) continue;  // it reads a map
      for (const std::string& input : graph_.nodes[members[i]].inputs) {
        const auto found = index_.producer.find(input);
        if (found == index_.producer.end() || group_of_.contains(found->second) || done_[found->second])
          continue;
        const int candidate = found->second;
        if (std::find(members.begin(), members.end(), candidate) != members.end()) continue;
        const Node& node = graph_.nodes[candidate];
        if (!IsMap(node.outputs[0]) || ShapeOf(node.outputs[0]) != result || belongs_to_conv(candidate))
          continue;
        if (CodingOf(node.outputs[0])) continue;  // it is rounded, so it ends a group
        if (is_resize(candidate) ? !ResizedInput(node) : !IsElementNode(node)) continue;
        const auto& readers = index_.consumers.at(node.outputs[0]);
        const bool inside =
            UsesOf(node.outputs[0]) == static_cast<int>(readers.size()) &&
            std::all_of(readers.begin(), readers.end(), [&](int reader) {
              // A resize reads it as a map, also where sizes are the same.
              return !is_resize(reader) && std::find(members.begin(), members.end(), reader) != members.end();
            });
        if (inside)
          members.push_back(candidate), i = static_cast<std::size_t>(-1);  // look again from the start
        if (inside) break;
      }
    }
    std::sort(members.begin(), members.end());
    for (const int member : members) group_of_[member] = last;
    groups_[last] = std::move(members);
  }
}

std::optional<ElementInput> Lowering::ResizedInput(const Node& resize) {
  if (!IsMap(resize.inputs[0]) || !IsMap(resize.outputs[0])) return std::nullopt;
  std::vector<Tensor> constants;
  for (const std::string& input : resize.inputs) {
    const Tensor* constant = ConstantOf(input);
    constants.push_back(constant ? *constant : Tensor());
  }
  auto tables =
      TablesOf(resize, ShapeOf(resize.inputs[0]), ShapeOf(resize.outputs[0]), graph_.opset, constants);
  if (!tables) return std::nullopt;
  return ElementInput{-1, ProgramInput::kResized, std::move(tables->rows), std::move(tables->columns)};
}

std::optional<ResizeTables> TablesOf(const Node& node, const Shape& src, const Shape& dst, int opset,
                                     const std::vector<Tensor>& constants) {
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (!node.inputs[i].empty() && !constants[i].has_data()) return std::nullopt;
  }
  if (src.size() != 4 || src[0] != dst[0] || src[1] != dst[1]) return std::nullopt;
  plain::MemoryMeter meter(std::uint64_t{1} << 40);
  plain::OpStates states;
  plain::OpContext context(node, opset, constants, meter, states);
  plain::ResizeSpec spec;
  const std::vector<plain::ResizeAxis> axes = plain::ReadResize(context, src, spec);
  if (spec.mode == "cubic" || spec.coordinates == "tf_crop_and_resize") return std::nullopt;
  ResizeTables tables;
  for (int axis = 2; axis < 4; ++axis) {
    std::vector<kernels::Tap>& taps = axis == 2 ? tables.rows : tables.columns;
    const plain::Taps found = plain::MakeTaps(context, spec, axes[axis], src[axis]);
    if (found.count > 2) return std::nullopt;  // antialiasing
    for (int o = 0; o < static_cast<int>(axes[axis].out); ++o) {
      if (found.identity) {
        taps.push_back({o, o, 1, 0});
      } else if (found.count == 1) {
        taps.push_back(
            {static_cast<int>(found.index[o]), static_cast<int>(found.index[o]), found.weight[o], 0});
      } else {
        taps.push_back({static_cast<int>(found.index[2 * o]), static_cast<int>(found.index[2 * o + 1]),
                        found.weight[2 * o], found.weight[2 * o + 1]});
      }
    }
  }
  return tables;
}

int Lowering::OperandRegister(const std::string& name, const std::string& result, ElementOp& op,
                              std::unordered_map<std::string, int>& registers) {
  if (const auto known = registers.find(name); known != registers.end()) return known->second;
  const Tensor* constant = ConstantOf(name);
  ElementInput input;
  input.kind = *KindOf(constant ? constant->shape() : ShapeOf(name), ShapeOf(result));
  if (constant) {
    const Shape shape = Padded(constant->shape());
    input.value =
        NewMapLike(name, static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(shape[3]));
    lowered_.values[input.value].constant = constant->Reshaped(shape);
  } else {
    input.value = DenseMapOf(name);
  }
  op.inputs.push_back(std::move(input));
  return registers[name] = static_cast<int>(op.inputs.size()) - 1;
}

void Lowering::AddNodeToProgram(const Node& node, ElementOp& op,
                                std::unordered_map<std::string, int>& registers, int& next) {
  kernels::ProgramInstruction code{};
  const auto scalar = [&](std::size_t i) -> const Tensor* {
    const Tensor* constant = ConstantOf(node.inputs[i]);
    return constant && constant->size() == 1 && constant->dtype() == DType::kFloat32 ? constant : nullptr;
  };
  code.a = registers.at(node.inputs[0]);
  if (node.Is("Clip")) {
    code.op = ProgramOp::kClip;
    code.x = node.inputs.size() > 1 && !node.inputs[1].empty() ? scalar(1)->data<float>()[0]
                                                               : -std::numeric_limits<float>::max();
    code.y = node.inputs.size() > 2 && !node.inputs[2].empty() ? scalar(2)->data<float>()[0]
                                                               : std::numeric_limits<float>::max();
  } else if (const auto unary = UnaryOps().find(node.op); unary != UnaryOps().end()) {
    code.op = unary->second;
    if (node.Is("LeakyRelu")) code.x = node.Float("alpha", 0.01f);
    if (node.Is("Elu")) code.x = node.Float("alpha", 1.0f);
    if (node.Is("Selu"))
      code.x = node.Float("alpha", 1.67326319217681884765625f),
      code.y = node.Float("gamma", 1.05070102214813232421875f);
    if (node.Is("HardSigmoid")) code.x = node.Float("alpha", 0.2f), code.y = node.Float("beta", 0.5f);
  } else {
    code.op = BinaryOps().at(node.op);
    code.b = registers.at(node.inputs[1]);
  }
  code.dst = next++;
  registers[node.outputs[0]] = code.dst;
  op.code.push_back(code);
}

bool Lowering::TryElement(int n) {
  const auto group = group_of_.find(n);
  if (group == group_of_.end()) return false;
  if (group->second != n) return true;  // emitted with its last node
  const std::vector<int>& members = groups_.at(n);
  const std::string result = graph_.nodes[n].outputs[0];
  ElementOp op;
  std::unordered_map<std::string, int> registers;
  // Inputs first: registers count from them.
  for (const int member : members) {
    const Node& node = graph_.nodes[member];
    if (node.Is("Resize")) {
      ElementInput input = *ResizedInput(node);
      input.value = DenseMapOf(node.inputs[0]);
      op.inputs.push_back(std::move(input));
      registers[node.outputs[0]] = static_cast<int>(op.inputs.size()) - 1;
      continue;
    }
    const std::size_t operands = node.Is("Clip") ? 1 : node.inputs.size();
    for (std::size_t i = 0; i < operands; ++i) {
      const auto producer = index_.producer.find(node.inputs[i]);
      const bool inside = producer != index_.producer.end() &&
                          std::find(members.begin(), members.end(), producer->second) != members.end();
      if (!inside) OperandRegister(node.inputs[i], result, op, registers);
    }
  }
  int next = static_cast<int>(op.inputs.size());
  for (const int member : members) {
    if (!graph_.nodes[member].Is("Resize")) AddNodeToProgram(graph_.nodes[member], op, registers, next);
  }
  op.result = registers.at(result);
  FuseProgram(op, lowered_.values);
  op.dst = NewMap(result);
  Emit(graph_.nodes[n].name, std::move(op));
  return true;
}

}  // namespace frf::engine
