// SPDX-License-Identifier: Apache-2.0
// Programs before and after FuseProgram give the same numbers, and FRFNet's gates become one instruction.
#include "engine/plan/fuse_program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/kernels/program.h"

namespace frf::engine {
namespace {

using kernels::ProgramInput;
using kernels::ProgramInstruction;
using kernels::ProgramOp;

constexpr int kChannels = 16, kHeight = 3, kWidth = 50;

// Inputs 0 and 1 are maps, 2 and 3 scalars.
struct Bench {
  std::vector<Value> values;
  ElementOp op;
  explicit Bench(float first, float second) {
    for (int i = 0; i < 4; ++i) {
      Value value{
          .channels = i < 2 ? kChannels : 1, .height = i < 2 ? kHeight : 1, .width = i < 2 ? kWidth : 1};
      if (i >= 2) value.constant = Tensor::Scalar(i == 2 ? first : second).Reshaped({1, 1, 1, 1});
      values.push_back(value);
      op.inputs.push_back({.value = i, .kind = i < 2 ? ProgramInput::kMap : ProgramInput::kScalar});
    }
  }
  int Do(ProgramOp code, int a, int b = 0, int c = 0, float x = 0, float y = 0) {
    op.code.push_back({code, 4 + static_cast<int>(op.code.size()), a, b, c, x, y});
    return op.result = op.code.back().dst;
  }
  std::vector<float> Run() const {
    const kernels::Kernels& k = *kernels::AllKernels().back();
    std::vector<std::vector<float>> data;
    for (const Value& value : values) {
      std::mt19937 random(static_cast<unsigned>(data.size()));
      std::vector<float> numbers(static_cast<std::size_t>(value.height) * value.width * kChannels);
      for (float& v : numbers) v = std::normal_distribution<float>(0, 2)(random);
      if (value.constant.has_data()) numbers[0] = value.constant.data<float>()[0];
      data.push_back(std::move(numbers));
    }
    std::vector<float> out(static_cast<std::size_t>(kHeight) * kWidth * kChannels);
    kernels::Program program{
        .channels = kChannels, .true_channels = kChannels, .height = kHeight, .width = kWidth};
    for (const ElementInput& input : op.inputs) {
      const Value& value = values[input.value];
      program.inputs.push_back({.kind = input.kind,
                                .map = {data[input.value].data(), value.height, value.width, kChannels,
                                        kChannels, value.width * kChannels}});
    }
    program.code = op.code;
    program.output = {op.result, {out.data(), kHeight, kWidth, kChannels, kChannels, kWidth * kChannels}};
    k.plan_program(program, 1);
    std::vector<float> scratch(k.program_scratch(program));
    for (std::int64_t i = 0; i < program.items; ++i) k.program(program, i, scratch.data());
    return out;
  }
};

void ExpectSame(const Bench& before, const Bench& after, float tolerance) {
  const std::vector<float> wanted = before.Run(), got = after.Run();
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ASSERT_NEAR(got[i], wanted[i], tolerance * std::max(1.0f, std::abs(wanted[i]))) << i;
}

// decoder.ffm, as nets/frfnet.cpp writes it.
Bench ThresholdedSum(bool mask_read_twice) {
  Bench b(0.3f, 1.0f);
  const int difference = b.Do(ProgramOp::kSub, b.Do(ProgramOp::kSigmoid, 0), b.Do(ProgramOp::kSigmoid, 1));
  const int t1 =
      b.Do(ProgramOp::kClip, b.Do(ProgramOp::kCeil, b.Do(ProgramOp::kSub, difference, 2)), 0, 0, 0, 1);
  const int negative = b.Do(ProgramOp::kNeg, difference);
  const int t2 =
      b.Do(ProgramOp::kClip, b.Do(ProgramOp::kCeil, b.Do(ProgramOp::kSub, negative, 2)), 0, 0, 0, 1);
  const int o = b.Do(ProgramOp::kMul, 0, b.Do(ProgramOp::kAdd, t1, 3)),
            y = b.Do(ProgramOp::kMul, 1, b.Do(ProgramOp::kAdd, t2, 3));
  const int sum = b.Do(ProgramOp::kAdd, o, y);
  if (mask_read_twice) b.Do(ProgramOp::kAdd, sum, t1);
  return b;
}

TEST(FuseProgram, ThresholdedSumIsOneInstruction) {
  const Bench before = ThresholdedSum(false);
  Bench after = before;
  FuseProgram(after.op, after.values);
  ASSERT_EQ(after.op.code.size(), 1u);
  EXPECT_EQ(after.op.code[0].op, ProgramOp::kThresholdedSum);
  EXPECT_EQ(after.op.inputs.size(), 2u);  // the scalars are gone
  ExpectSame(before, after, 0);
}

TEST(FuseProgram, WhatOthersReadStays) {
  const Bench before = ThresholdedSum(true);
  Bench after = before;
  FuseProgram(after.op, after.values);
  EXPECT_GT(after.op.code.size(), 8u);
  for (const ProgramInstruction& code : after.op.code) EXPECT_NE(code.op, ProgramOp::kThresholdedSum);
  ExpectSame(before, after, 0);
}

TEST(FuseProgram, GateIsOneInstruction) {
  for (const bool swapped : {false, true}) {
    Bench before(1, 1);
    const int sigmoid = before.Do(ProgramOp::kSigmoid, 0);
    const int product =
        swapped ? before.Do(ProgramOp::kMul, sigmoid, 1) : before.Do(ProgramOp::kMul, 1, sigmoid);
    swapped ? before.Do(ProgramOp::kAdd, product, 0) : before.Do(ProgramOp::kAdd, 0, product);
    Bench after = before;
    FuseProgram(after.op, after.values);
    ASSERT_EQ(after.op.code.size(), 1u);
    EXPECT_EQ(after.op.code[0].op, ProgramOp::kGate);
    ExpectSame(before, after, 1e-6f);
  }
}

// Chains of any instructions: same numbers, and no more registers than are alive at once.
TEST(FuseProgram, RandomProgramsKeepTheirMeaning) {
  std::mt19937 random(7);
  const ProgramOp binary[] = {ProgramOp::kAdd, ProgramOp::kSub, ProgramOp::kMul, ProgramOp::kMax,
                              ProgramOp::kMin};
  const ProgramOp unary[] = {ProgramOp::kSigmoid, ProgramOp::kNeg, ProgramOp::kCeil, ProgramOp::kTanh,
                             ProgramOp::kRelu};
  for (int round = 0; round < 200; ++round) {
    Bench before(0.3f, 2.0f);
    for (int i = 0; i < 12; ++i) {
      const auto any = [&] { return static_cast<int>(random() % (4 + before.op.code.size())); };
      if (random() % 3 == 0)
        before.Do(unary[random() % 5], any());
      else if (random() % 8 == 0)
        before.Do(ProgramOp::kClip, any(), 0, 0, 0, 1);
      else if (random() % 8 == 0)
        before.Do(ProgramOp::kWhere, any(), any(), any());
      else
        before.Do(binary[random() % 5], any(), any());
      // Bounded, so that a difference of one rounding stays one.
      before.Do(ProgramOp::kClip, before.op.result, 0, 0, -3, 3);
    }
    Bench after = before;
    FuseProgram(after.op, after.values);
    EXPECT_LE(after.op.code.size(), before.op.code.size());
    const std::vector<float> wanted = before.Run(), got = after.Run();
    int differ = 0;  // behind a Ceil, one rounding may become 1
    for (std::size_t i = 0; i < wanted.size(); ++i) differ += !(std::abs(got[i] - wanted[i]) <= 1e-4f);
    EXPECT_LE(differ, static_cast<int>(wanted.size() / 100)) << round;
  }
}

}  // namespace
}  // namespace frf::engine
