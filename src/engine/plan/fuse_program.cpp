// SPDX-License-Identifier: Apache-2.0
// Patterns are matched backwards from their last instruction, as long as nobody else reads what lies within;
// what is then read by nobody falls away. Subtle: the order of operands decides nothing but bits that differ
// between NaNs.
#include "engine/plan/fuse_program.h"

#include <algorithm>

namespace frf::engine {
namespace {

using kernels::ProgramInput;
using kernels::ProgramInstruction;
using kernels::ProgramOp;

int Operands(ProgramOp op) {
  switch (op) {
    case ProgramOp::kAdd:
    case ProgramOp::kSub:
    case ProgramOp::kMul:
    case ProgramOp::kDiv:
    case ProgramOp::kMax:
    case ProgramOp::kMin:
    case ProgramOp::kPow:
    case ProgramOp::kLess:
    case ProgramOp::kLessEqual:
    case ProgramOp::kEqual:
    case ProgramOp::kPRelu:
    case ProgramOp::kThresholdedSum:
      return 2;
    case ProgramOp::kWhere:
    case ProgramOp::kGate:
      return 3;
    default:
      return 1;
  }
}

class Fuser {
 public:
  Fuser(ElementOp& op, const std::vector<Value>& values)
      : op_(op), values_(values), inputs_(static_cast<int>(op.inputs.size())) {
    int registers = inputs_;
    for (const ProgramInstruction& code : op.code) registers = std::max(registers, code.dst + 1);
    maker_.assign(registers, -1);
    for (std::size_t i = 0; i < op.code.size(); ++i) maker_[op.code[i].dst] = static_cast<int>(i);
  }

  void Run() {
    for (ProgramInstruction& code : op_.code) UseImmediate(code);
    Count();
    for (ProgramInstruction& code : op_.code) {
      if (TakeStep(code) || TakeThresholdedSum(code) || TakeGate(code)) Count();
    }
    DropUnread();
    ShareRegisters();
  }

 private:
  static int Operand(const ProgramInstruction& code, int i) {
    return i == 0 ? code.a : i == 1 ? code.b : code.c;
  }

  // What only living instructions read: dead ones are those that the result does not depend on.
  void Count() {
    uses_.assign(maker_.size(), 0);
    live_.assign(op_.code.size(), false);
    ++uses_[op_.result];
    for (std::size_t i = op_.code.size(); i-- > 0;) {
      if (uses_[op_.code[i].dst] == 0) continue;
      live_[i] = true;
      for (int k = 0; k < Operands(op_.code[i].op); ++k) ++uses_[Operand(op_.code[i], k)];
    }
  }

  std::optional<float> Scalar(int reg) const {
    if (reg >= inputs_ || op_.inputs[reg].kind != ProgramInput::kScalar) return std::nullopt;
    const Value& value = values_[op_.inputs[reg].value];
    if (value.constant.size() != 1 || value.coding) return std::nullopt;
    return value.constant.data<float>()[0];
  }

  // The instruction that makes `reg`, if it has that operator and exactly `readers` operands read it.
  const ProgramInstruction* Made(int reg, ProgramOp op, int readers = 1) const {
    if (maker_[reg] < 0 || uses_[reg] != readers) return nullptr;
    const ProgramInstruction& code = op_.code[maker_[reg]];
    return code.op == op ? &code : nullptr;
  }

  void UseImmediate(ProgramInstruction& code) {
    if (Operands(code.op) != 2) return;
    const auto left = Scalar(code.a), right = Scalar(code.b);
    const auto become = [&](ProgramOp op, int reg, float x) { code = {op, code.dst, reg, 0, 0, x}; };
    if (right) {
      if (code.op == ProgramOp::kAdd)
        become(ProgramOp::kAddImm, code.a, *right);
      else if (code.op == ProgramOp::kSub)
        become(ProgramOp::kAddImm, code.a, -*right);
      else if (code.op == ProgramOp::kMul)
        become(ProgramOp::kMulImm, code.a, *right);
      else if (code.op == ProgramOp::kDiv)
        become(ProgramOp::kDivImm, code.a, *right);
      else if (code.op == ProgramOp::kPow)
        become(*right == 2.0f ? ProgramOp::kSquare : ProgramOp::kPowImm, code.a, *right);
    } else if (left) {
      if (code.op == ProgramOp::kAdd)
        become(ProgramOp::kAddImm, code.b, *left);
      else if (code.op == ProgramOp::kMul)
        become(ProgramOp::kMulImm, code.b, *left);
      else if (code.op == ProgramOp::kDiv)
        become(ProgramOp::kReverseDiv, code.b, *left);
    }
  }

  // Clip(Ceil(a - x), 0, 1): a float difference is above zero exactly where a > x.
  bool TakeStep(ProgramInstruction& code) const {
    if (code.op != ProgramOp::kClip || code.x != 0.0f || code.y != 1.0f) return false;
    const ProgramInstruction* ceil = Made(code.a, ProgramOp::kCeil);
    const ProgramInstruction* shifted = ceil ? Made(ceil->a, ProgramOp::kAddImm) : nullptr;
    if (!shifted) return false;
    code = {ProgramOp::kStep, code.dst, shifted->a, 0, 0, -shifted->x};
    return true;
  }

  struct Weighted {
    int value = -1, mask = -1;
  };
  // value * (mask + 1)
  std::optional<Weighted> WeightedBy(int reg) const {
    const ProgramInstruction* product = Made(reg, ProgramOp::kMul);
    for (int side = 0; product && side < 2; ++side) {
      const ProgramInstruction* factor = Made(Operand(*product, side), ProgramOp::kAddImm);
      if (factor && factor->x == 1.0f) return Weighted{Operand(*product, 1 - side), factor->a};
    }
    return std::nullopt;
  }

  // a * (1 + [d > x]) + b * (1 + [-d > x]), d = sigmoid(a) - sigmoid(b)
  bool TakeThresholdedSum(ProgramInstruction& code) const {
    if (code.op != ProgramOp::kAdd) return false;
    for (int side = 0; side < 2; ++side) {
      const auto first = WeightedBy(Operand(code, side)), second = WeightedBy(Operand(code, 1 - side));
      if (!first || !second) return false;
      const ProgramInstruction *above = Made(first->mask, ProgramOp::kStep),
                               *below = Made(second->mask, ProgramOp::kStep);
      const ProgramInstruction* negative = below ? Made(below->a, ProgramOp::kNeg) : nullptr;
      if (!above || !negative || above->x != below->x || negative->a != above->a) continue;
      const ProgramInstruction* difference = Made(above->a, ProgramOp::kSub, 2);
      const ProgramInstruction* left = difference ? Made(difference->a, ProgramOp::kSigmoid) : nullptr;
      const ProgramInstruction* right = difference ? Made(difference->b, ProgramOp::kSigmoid) : nullptr;
      if (!left || !right || left->a != first->value || right->a != second->value) continue;
      code = {ProgramOp::kThresholdedSum, code.dst, first->value, second->value, 0, above->x};
      return true;
    }
    return false;
  }

  // c + b * sigmoid(a)
  bool TakeGate(ProgramInstruction& code) const {
    if (code.op != ProgramOp::kAdd) return false;
    for (int side = 0; side < 2; ++side) {
      const ProgramInstruction* product = Made(Operand(code, side), ProgramOp::kMul);
      for (int factor = 0; product && factor < 2; ++factor) {
        const ProgramInstruction* sigmoid = Made(Operand(*product, factor), ProgramOp::kSigmoid);
        if (!sigmoid) continue;
        code = {ProgramOp::kGate, code.dst, sigmoid->a, Operand(*product, 1 - factor),
                Operand(code, 1 - side)};
        return true;
      }
    }
    return false;
  }

  void DropUnread() {
    std::vector<ProgramInstruction> kept;
    for (std::size_t i = 0; i < op_.code.size(); ++i) {
      if (live_[i]) kept.push_back(op_.code[i]);
    }
    op_.code = std::move(kept);
    std::vector<int> moved(maker_.size(), -1);
    std::vector<ElementInput> inputs;
    for (int r = 0; r < inputs_; ++r) {
      if (uses_[r] == 0) continue;
      moved[r] = static_cast<int>(inputs.size());
      inputs.push_back(std::move(op_.inputs[r]));
    }
    op_.inputs = std::move(inputs);
    int next = static_cast<int>(op_.inputs.size());
    inputs_ = next;
    for (ProgramInstruction& code : op_.code) {
      const int operands = Operands(code.op);
      code.a = moved[code.a];
      code.b = operands > 1 ? moved[code.b] : 0;
      code.c = operands > 2 ? moved[code.c] : 0;
      code.dst = moved[code.dst] = next++;
    }
    op_.result = moved[op_.result];
  }

  // A register is free behind its last reader; that reader itself may write it.
  void ShareRegisters() {
    std::vector<int> last(inputs_ + op_.code.size(), -1);
    for (std::size_t i = 0; i < op_.code.size(); ++i) {
      for (int k = 0; k < Operands(op_.code[i].op); ++k) last[Operand(op_.code[i], k)] = static_cast<int>(i);
    }
    last[op_.result] = static_cast<int>(op_.code.size());
    std::vector<int> at(last.size()), free;
    for (int r = 0; r < inputs_; ++r) at[r] = r;
    int next = inputs_;
    for (std::size_t i = 0; i < op_.code.size(); ++i) {
      ProgramInstruction& code = op_.code[i];
      const int operands = Operands(code.op), written = code.dst;
      const std::vector<int> read{code.a, code.b, code.c};
      int* const place[] = {&code.a, &code.b, &code.c};
      for (int k = 0; k < operands; ++k) {
        *place[k] = at[read[k]];
        const bool seen = std::find(read.begin(), read.begin() + k, read[k]) != read.begin() + k;
        if (!seen && read[k] >= inputs_ && last[read[k]] == static_cast<int>(i)) free.push_back(at[read[k]]);
      }
      if (free.empty()) free.push_back(next++);
      code.dst = at[written] = free.back();
      free.pop_back();
    }
    op_.result = at[op_.result];
  }

  ElementOp& op_;
  const std::vector<Value>& values_;
  int inputs_;
  std::vector<int> maker_, uses_;  // of every register
  std::vector<bool> live_;         // of every instruction
};

}  // namespace

void FuseProgram(ElementOp& op, const std::vector<Value>& values) { Fuser(op, values).Run(); }

}  // namespace frf::engine
