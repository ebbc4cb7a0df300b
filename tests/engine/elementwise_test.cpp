// SPDX-License-Identifier: Apache-2.0
// Element by element operators, broadcasting, comparisons, quantisation, softmax and normalisation: results
// worked out by hand, with the edge cases that differ between libraries (NaN, halves, integer overflow,
// division by zero).
#include <cmath>
#include <limits>

#include "base/half.h"
#include "engine/helpers.h"

namespace frf::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

TEST(Unary, ByHand) {
  const Tensor x = F({5}, {-2, -0.5f, 0, 0.5f, 2});
  ExpectTensor(RunOne("Relu", {x}), F({5}, {0, 0, 0, 0.5f, 2}));
  ExpectTensor(RunOne("LeakyRelu", {x}, {{"alpha", 0.1f}}), F({5}, {-0.2f, -0.05f, 0, 0.5f, 2}), 1e-7);
  ExpectTensor(RunOne("Neg", {x}), F({5}, {2, 0.5f, 0, -0.5f, -2}));
  ExpectTensor(RunOne("Abs", {x}), F({5}, {2, 0.5f, 0, 0.5f, 2}));
  ExpectTensor(RunOne("HardSigmoid", {x}), F({5}, {0.1f, 0.4f, 0.5f, 0.6f, 0.9f}), 1e-7);
  ExpectTensor(RunOne("HardSwish", {F({4}, {-4, -1, 1, 4})}), F({4}, {0, -1.0f / 3, 2.0f / 3, 4}), 1e-6);
  ExpectTensor(RunOne("Sigmoid", {F({4}, {0, -kInf, kInf, -100})}), F({4}, {0.5f, 0, 1, 0}));
  ExpectTensor(RunOne("Elu", {F({2}, {-1, 1})}, {{"alpha", 2.0f}}), F({2}, {2 * (std::exp(-1.0f) - 1), 1}),
               1e-6);
  ExpectTensor(RunOne("Reciprocal", {F({2}, {4, -0.5f})}), F({2}, {0.25f, -2}));
  ExpectTensor(RunOne("Erf", {F({2}, {0, 1})}), F({2}, {0, 0.84270079f}), 1e-6);
}

TEST(Unary, RoundsHalfToEvenAndKeepsNan) {
  ExpectTensor(RunOne("Round", {F({6}, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1.4f})}),
               F({6}, {0, 2, 2, 0, -2, 1}));
  for (const char* op : {"Relu", "LeakyRelu", "Sigmoid", "Clip", "Neg", "Exp"}) {
    EXPECT_TRUE(std::isnan(RunOne(op, {F({1}, {kNan})}).data<float>()[0])) << op;
  }
}

TEST(Unary, IntegersWrap) {
  const Tensor lowest = Tensor::Of<std::int8_t>({2}, {-128, 5});
  ExpectTensor(RunOne("Neg", {lowest}), Tensor::Of<std::int8_t>({2}, {-128, -5}));
  ExpectTensor(RunOne("Abs", {lowest}), Tensor::Of<std::int8_t>({2}, {-128, 5}));
  ExpectTensor(RunOne("Mul", {lowest, lowest}), Tensor::Of<std::int8_t>({2}, {0, 25}));
}

TEST(Clip, BoundsMayBeLeftOut) {
  const Tensor x = F({4}, {-3, 0, 3, kInf});
  ExpectTensor(RunOne("Clip", {x, F({}, {-1}), F({}, {1})}), F({4}, {-1, 0, 1, 1}));
  ExpectTensor(RunOne("Clip", {x, None(), F({}, {1})}), F({4}, {-3, 0, 1, 1}));
  ExpectTensor(RunOne("Clip", {x, F({}, {1}), F({}, {-1})}),
               F({4}, {-1, -1, -1, -1}));  // the upper bound is taken last
  // The mask of FFM: Clip(Ceil(d - 0.4), 0, 1) is d > 0.4 exactly.
  const float above = std::nextafter(0.4f, 1.0f);
  const Tensor mask = RunOne("Ceil", {RunOne("Sub", {F({4}, {0.4f, above, -2, 0.9f}), F({}, {0.4f})})});
  ExpectTensor(RunOne("Clip", {mask, F({}, {0}), F({}, {1})}), F({4}, {0, 1, 0, 1}));
}

TEST(Binary, BroadcastsLikeNumpy) {
  const Tensor a = F({2, 1, 3}, {1, 2, 3, 4, 5, 6}), b = F({2, 1}, {10, 20});
  ExpectTensor(RunOne("Add", {a, b}), F({2, 2, 3}, {11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26}));
  ExpectTensor(RunOne("Sub", {F({}, {1}), F({3}, {1, 2, 3})}), F({3}, {0, -1, -2}));
  ExpectTensor(RunOne("Mul", {F({1, 2, 1, 1}, {2, 3}), F({1, 2, 1, 2}, {1, 2, 3, 4})}),
               F({1, 2, 1, 2}, {2, 4, 9, 12}));
  EXPECT_FRF_ERROR(RunOne("Add", {F({2}, {1, 2}), F({3}, {1, 2, 3})}), ErrorCode::kInvalidArgument,
                   "do not broadcast");
  EXPECT_FRF_ERROR(RunOne("Add", {F({1}, {1}), I({1}, {1})}), ErrorCode::kInvalidArgument, "one type");
}

// Every way in which two shapes can meet against an index-by-index loop; sizes leave tails, and pass the
// chunk size.
TEST(Binary, EveryPairOfShapesEqualsTheLoop) {
  const std::vector<Shape> shapes = {{},           {1},          {127},           {13, 1},
                                     {13, 127},    {1, 127},     {3, 1, 127},     {3, 13, 1},
                                     {3, 13, 127}, {2, 1, 1, 1}, {2, 3, 13, 127}, {1, 3, 1, 1}};
  for (const Shape& sa : shapes) {
    for (const Shape& sb : shapes) {
      const Tensor a = RandomTensor(sa, 1), b = RandomTensor(sb, 2);
      const Tensor y = RunOne("Sub", {a, b});
      const auto pick = [&](const Tensor& t, std::int64_t i) {
        std::int64_t offset = 0, stride = 1;
        for (int axis = y.rank() - 1, own = t.rank() - 1; own >= 0; --axis, --own) {
          if (t.dim(own) > 1) offset += i % y.dim(axis) * stride;
          stride *= t.dim(own);
          i /= y.dim(axis);
        }
        return t.data<float>()[offset];
      };
      for (std::int64_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y.data<float>()[i], pick(a, i) - pick(b, i))
            << ToString(sa) << " - " << ToString(sb) << " at " << i;
      }
    }
  }
}

TEST(Binary, IntegersDivideTowardsZeroAndNeverCrash) {
  ExpectTensor(RunOne("Div", {I({3}, {7, -7, std::numeric_limits<std::int64_t>::min()}), I({3}, {2, 2, -1})}),
               I({3}, {3, -3, std::numeric_limits<std::int64_t>::min()}));
  EXPECT_FRF_ERROR(RunOne("Div", {I({1}, {1}), I({1}, {0})}), ErrorCode::kInvalidArgument,
                   "division by zero");
  EXPECT_FRF_ERROR(RunOne("Mod", {I({1}, {1}), I({1}, {0})}), ErrorCode::kInvalidArgument,
                   "division by zero");
  ExpectTensor(RunOne("Mod", {I({4}, {7, -7, 7, -7}), I({4}, {3, 3, -3, -3})}), I({4}, {1, 2, -2, -1}));
  ExpectTensor(RunOne("Mod", {I({4}, {7, -7, 7, -7}), I({4}, {3, 3, -3, -3})}, {{"fmod", std::int64_t{1}}}),
               I({4}, {1, -1, 1, -1}));
}

TEST(Binary, ComparisonLogicAndChoice) {
  const auto b = [](const std::vector<bool>& values) {
    return Tensor::Of<bool>({static_cast<std::int64_t>(values.size())}, values);
  };
  const Tensor a = F({3}, {1, 2, kNan}), c = F({3}, {2, 2, kNan});
  ExpectTensor(RunOne("Less", {a, c}), b({true, false, false}));
  ExpectTensor(RunOne("LessOrEqual", {a, c}), b({true, true, false}));
  ExpectTensor(RunOne("Greater", {c, a}), b({true, false, false}));
  ExpectTensor(RunOne("Equal", {a, c}), b({false, true, false}));
  ExpectTensor(RunOne("And", {b({true, true}), b({true, false})}), b({true, false}));
  ExpectTensor(RunOne("Xor", {b({true, true}), b({true, false})}), b({false, true}));
  ExpectTensor(RunOne("Not", {b({true, false})}), b({false, true}));
  ExpectTensor(RunOne("Where", {b({true, false, true}), F({3}, {1, 2, 3}), F({}, {9})}), F({3}, {1, 9, 3}));
  ExpectTensor(RunOne("Max", {F({2}, {1, 5}), F({2}, {3, 4}), F({}, {2})}), F({2}, {3, 5}));
  ExpectTensor(RunOne("PRelu", {F({1, 2, 1, 2}, {-1, 1, -2, 2}), F({2, 1, 1}, {0.5f, 0.25f})}),
               F({1, 2, 1, 2}, {-0.5f, 1, -0.5f, 2}));
  ExpectTensor(RunOne("Pow", {F({2}, {3, 4}), I({}, {2})}), F({2}, {9, 16}));
}

TEST(Half, IsComputedInFloatAndNarrowedOnce) {
  const Tensor x = F({2}, {1.0f, 0.333333333f}).Cast(DType::kFloat16),
               third = F({}, {3}).Cast(DType::kFloat16);
  const Tensor y = RunOne("Div", {x, third});
  ASSERT_EQ(y.dtype(), DType::kFloat16);
  EXPECT_EQ(y.data<std::uint16_t>()[0], HalfFromFloat(1.0f / 3.0f));
  EXPECT_EQ(RunOne("Concat", {x, x}, {{"axis", std::int64_t{0}}}).dtype(), DType::kFloat16);
}

TEST(Quantize, RoundsHalfToEvenThenAddsTheZeroPoint) {
  const Tensor scale = F({}, {2});
  ExpectTensor(
      RunOne("QuantizeLinear", {F({6}, {1, 3, 5, -1, 1000, -1000}), scale, Tensor::Scalar<std::uint8_t>(10)}),
      Tensor::Of<std::uint8_t>({6}, {10, 12, 12, 10, 255, 0}));
  ExpectTensor(RunOne("QuantizeLinear", {F({3}, {kNan, 254, 256}), scale, Tensor::Scalar<std::int8_t>(0)}),
               Tensor::Of<std::int8_t>({3}, {-128, 127, 127}));
  ExpectTensor(RunOne("DequantizeLinear",
                      {Tensor::Of<std::uint8_t>({3}, {0, 10, 255}), scale, Tensor::Scalar<std::uint8_t>(10)}),
               F({3}, {-20, 0, 490}));
  // One scale a channel, and bias as int32 without a zero point.
  ExpectTensor(RunOne("DequantizeLinear", {Tensor::Of<std::int8_t>({2, 2}, {1, 2, 3, 4}), F({2}, {1, 10})},
                      {{"axis", std::int64_t{0}}}),
               F({2, 2}, {1, 2, 30, 40}));
  ExpectTensor(RunOne("DequantizeLinear", {Tensor::Of<std::int32_t>({2}, {1 << 20, -7}), F({}, {0.5f})}),
               F({2}, {524288, -3.5f}));
  EXPECT_FRF_ERROR(
      RunOne("DequantizeLinear", {Tensor::Of<std::int8_t>({2, 2}, {1, 2, 3, 4}), F({3}, {1, 2, 3})}),
      ErrorCode::kInvalidArgument, "3 scales");
}

TEST(Softmax, FlattensBeforeOpset13) {
  const Tensor zeros = F({1, 2, 3}, std::vector<float>(6, 0));
  ExpectTensor(RunOne("Softmax", {zeros}, {{"axis", std::int64_t{1}}}, 13),
               F({1, 2, 3}, std::vector<float>(6, 0.5f)));
  ExpectTensor(RunOne("Softmax", {zeros}, {{"axis", std::int64_t{1}}}, 12),
               F({1, 2, 3}, std::vector<float>(6, 1.0f / 6)), 1e-7);
  ExpectTensor(RunOne("Softmax", {zeros}, {}, 13), F({1, 2, 3}, std::vector<float>(6, 1.0f / 3)), 1e-7);
  // Large numbers do not overflow; ln 3 - 0 gives 3:1.
  const Tensor large = F({1, 2}, {1e4f + std::log(3.0f), 1e4f});
  ExpectTensor(RunOne("Softmax", {large}), F({1, 2}, {0.75f, 0.25f}), 1e-3);
  ExpectTensor(RunOne("LogSoftmax", {F({1, 2}, {std::log(3.0f), 0})}),
               F({1, 2}, {std::log(0.75f), std::log(0.25f)}), 1e-6);
}

TEST(Softmax, AlongEveryAxisSumsToOne) {
  const Tensor x = RandomTensor({3, 13, 301}, 4);
  for (const std::int64_t axis : {0, 1, 2}) {
    const Tensor sums = RunOne("ReduceSum", {RunOne("Softmax", {x}, {{"axis", axis}}), List({axis})});
    for (std::int64_t i = 0; i < sums.size(); ++i) ASSERT_NEAR(sums.data<float>()[i], 1, 1e-6);
  }
}

TEST(Norm, ByHand) {
  // Channel 0: (x - 1) / 2 * 3 + 5; channel 1 passes.
  const Tensor x = F({1, 2, 1, 2}, {1, 3, 7, 8});
  const Tensor y =
      RunOne("BatchNormalization", {x, F({2}, {3, 1}), F({2}, {5, 0}), F({2}, {1, 0}), F({2}, {4, 1})},
             {{"epsilon", 0.0f}});
  ExpectTensor(y, F({1, 2, 1, 2}, {5, 8, 7, 8}));
  EXPECT_FRF_ERROR(
      RunOne("BatchNormalization", {x, F({3}, {3, 1, 1}), F({2}, {5, 0}), F({2}, {1, 0}), F({2}, {4, 1})}),
      ErrorCode::kInvalidArgument, "wanted 2 values");
  ExpectTensor(RunOne("InstanceNormalization", {x, F({2}, {1, 2}), F({2}, {0, 1})}, {{"epsilon", 0.0f}}),
               F({1, 2, 1, 2}, {-1, 1, -1, 3}));
  ExpectTensor(RunOne("LayerNormalization", {F({1, 2}, {1, 3}), F({2}, {1, 10})}, {{"epsilon", 0.0f}}),
               F({1, 2}, {-1, 10}));
}

}  // namespace
}  // namespace frf::test
