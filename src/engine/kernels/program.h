// SPDX-License-Identifier: Apache-2.0
// Chains of element-wise operators as one pass: a small program that runs on chunks which stay in L1, so that
// a gate of fourteen nodes reads its inputs and writes its result once. Inputs may be broadcast, or resized
// on the way.
//
//   Program p{.channels = 128, .height = 64, .width = 128};
//   p.inputs = {{.kind = ProgramInput::kMap, .map = l1}, {.kind = ProgramInput::kResized, .map = y2, ...}};
//   p.code = {{ProgramOp::kSigmoid, 2, 1}, {ProgramOp::kMul, 2, 0, 2}, {ProgramOp::kAdd, 2, 1, 2}};
//   p.output = {2, dst};
//
// Registers 0 .. inputs-1 hold the inputs; instructions write any register above, and may overwrite their
// operands'.
#pragma once

#include <vector>

#include "engine/kernels/kernels.h"

namespace frf::kernels {

enum class ProgramOp : std::uint8_t {
  kCopy,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMax,
  kMin,
  kPow,  // a, b
  kLess,
  kLessEqual,
  kEqual,
  kWhere,  // 1.0 or 0.0; kWhere: a ? b : c
  kAddImm,
  kMulImm,
  kDivImm,
  kReverseDiv,
  kPowImm,  // a, x  (kReverseDiv: x / a)
  kNeg,
  kAbs,
  kSquare,
  kSqrt,
  kReciprocal,
  kExp,
  kLog,
  kCeil,
  kFloor,
  kRound,
  kSign,  // a
  kSigmoid,
  kTanh,
  kErf,
  kGelu,
  kSoftplus,
  kMish,
  kSilu,
  kElu,
  kSelu,
  kSoftsign,  // a (kElu: x = alpha; kSelu: x, y)
  kRelu,
  kClip,
  kLeaky,
  kPRelu,
  kHardSigmoid,
  kHardSwish,       // kClip: x, y; kLeaky: x; kPRelu: a, slope b
  kStep,            // a > x ? 1 : 0
  kGate,            // c + b * sigmoid(a)
  kThresholdedSum,  // a * (1 + [d > x]) + b * (1 + [-d > x]), d = sigmoid(a) - sigmoid(b)
};

struct ProgramInstruction {
  ProgramOp op;
  int dst, a = 0, b = 0, c = 0;
  float x = 0, y = 0;
};

// Where a resized row or column comes from: two source positions and their weights.
struct Tap {
  int first, second;
  float first_weight, second_weight;
};

struct ProgramInput {
  enum Kind : std::uint8_t {
    kMap,      // same height and width
    kVector,   // 1 x 1: one value a channel
    kPixel,    // one channel, broadcast over all
    kScalar,   // 1 x 1, one channel
    kResized,  // linear or nearest: rows and columns tell
  };
  Kind kind = kMap;
  Map map;
  ByteMap bytes;                 // instead of map, where its data is set
  const Tap* rows = nullptr;     // height of the program entries
  const Tap* columns = nullptr;  // width
};

struct ProgramOutput {
  int reg;
  Map map;
  ByteMap bytes;             // instead of map, where its data is set
  Coding round{0, 0};        // of the map: as Epilogue::round
  bool past_caches = false;  // as Epilogue::past_caches
};

struct Program {
  int channels = 0;       // padded
  int true_channels = 0;  // what lies above is set to zero: a division there must not leave a NaN
  int height = 0, width = 0;
  std::vector<ProgramInput> inputs;
  std::vector<ProgramInstruction> code;
  ProgramOutput output;
  int registers = 0;  // highest register + 1
  int rows_per_item = 1;
  std::int64_t items = 0;
};

}  // namespace frf::kernels
