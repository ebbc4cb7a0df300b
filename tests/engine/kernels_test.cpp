// SPDX-License-Identifier: Apache-2.0
// One test over every instruction set: convolutions, element-wise programs, each
// against sums in double precision, at shapes that break vector tails and tiles.
#include "engine/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/conv_sum.h"
#include "engine/kernels/maps.h"
#include "engine/kernels/program.h"

namespace frf::test {
namespace {

using namespace frf::kernels;

// Rounding grows with the root of the number of terms; a wrong tap is off by 0.1.
double Rounding(const ConvShape& s, double each) {
  return each * (1 + std::sqrt(1.0 * s.in * s.kernel_h * s.kernel_w));
}

class EveryIsa : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k_ = *GetParam();
};

TEST_P(EveryIsa, DirectConvolutionEqualsTheSum) {
  const ConvShape shapes[] = {{3, 5, 7, 9, 3, 3, 1, 1, 1},    {16, 16, 5, 5, 1, 1, 1, 1, 0},
                              {17, 33, 6, 11, 3, 3, 2, 1, 1}, {48, 80, 4, 13, 3, 3, 1, 2, 2},
                              {40, 96, 9, 3, 5, 5, 1, 1, 2},  {96, 112, 3, 7, 1, 1, 2, 1, 0},
                              {16, 144, 1, 1, 1, 1, 1, 1, 0}, {32, 19, 8, 8, 1, 3, 1, 1, 0},
                              {16, 320, 2, 3, 3, 3, 1, 1, 1}, {64, 48, 13, 127, 3, 3, 1, 1, 1}};
  for (const ConvShape& s : shapes) {
    SCOPED_TRACE(testing::Message() << s.in << "->" << s.out << " " << s.height << "x" << s.width);
    const int out_h = OutSize(s.height, s.kernel_h, s), out_w = OutSize(s.width, s.kernel_w, s);
    const OwnMap src(s.height, s.width, s.in, 16, 1);
    OwnMap dst(out_h, out_w, s.out, 32, 2);
    const std::vector<float> weights =
        Draw(static_cast<std::size_t>(s.out) * s.in * s.kernel_h * s.kernel_w, 3);
    const std::vector<float> zeros(src.padded, 0.0f), bias = Draw(dst.padded, 4);
    const std::vector<float> untouched = dst.values;
    DirectConv conv = DirectOf(s, src, dst, zeros);
    conv.epilogue = {.bias = bias.data(), .act = Act::kRelu};
    const std::vector<float> packed = PackInto(k_, s, weights, conv);
    for (const int threads : {1, 2, 7}) {
      k_.plan_direct(conv, threads, 1 << 20);
      RunAll(k_, conv);
      for (int y = 0; y < out_h; ++y) {
        for (int x = 0; x < out_w; ++x) {
          for (int o = 0; o < s.out; ++o) {
            ASSERT_NEAR(dst.at(y, x, o), std::max(0.0, Sum(src, weights, s, o, y, x) + bias[o]),
                        Rounding(s, 2e-6))
                << y << " " << x << " " << o;
          }
          for (int c = dst.padded; c < dst.view.pixel; ++c) {  // the neighbour in the concatenation
            ASSERT_EQ(dst.at(y, x, c), untouched[y * dst.view.row + x * dst.view.pixel + c]);
          }
        }
      }
    }
  }
}

TEST_P(EveryIsa, StrassenEqualsTheSumAndDoesNotDependOnItems) {
  const ConvShape shapes[] = {{32, 32, 1, 1, 1, 1, 1, 1, 0},   {50, 96, 1, 9, 1, 1, 1, 1, 0},
                              {64, 125, 5, 7, 1, 1, 1, 1, 0},  {160, 224, 13, 37, 1, 1, 1, 1, 0},
                              {96, 320, 3, 64, 1, 1, 1, 1, 0}, {96, 448, 11, 11, 1, 1, 1, 1, 0}};
  for (const ConvShape& s : shapes) {
    SCOPED_TRACE(testing::Message() << s.in << "->" << s.out << " " << s.height << "x" << s.width);
    const OwnMap src(s.height, s.width, s.in, 16, 1), add(s.height, s.width, s.out, 0, 6);
    OwnMap dst(s.height, s.width, s.out, 32, 2), sum(s.height, s.width, s.out, 16, 8);
    ASSERT_TRUE(k_.fits_strassen(s.out, src.padded));
    const std::vector<float> weights = Draw(static_cast<std::size_t>(s.out) * s.in, 3),
                             bias = Draw(dst.padded, 4), untouched = dst.values;
    for (const bool plain : {false, true}) {  // plain: nothing is added, sums stay in registers
      DirectConv conv = DirectOf(s, src, dst, {});
      conv.epilogue = {.bias = bias.data(), .act = Act::kRelu};
      if (!plain) conv.epilogue.add = add.view, conv.epilogue.sum = sum.view;
      const std::vector<float> packed = PackStrassenInto(k_, s, weights, conv);
      std::vector<float> first;
      for (const int threads : {1, 2, 7}) {
        k_.plan_strassen(conv, threads, 1 << 18);
        dst.values = untouched;
        RunAllStrassen(k_, conv);
        if (first.empty()) first = dst.values;
        EXPECT_EQ(dst.values, first) << threads;
        for (int y = 0; y < s.height; ++y) {
          for (int x = 0; x < s.width; ++x) {
            for (int o = 0; o < s.out; ++o) {
              const double wanted = std::max(0.0, Sum(src, weights, s, o, y, x) + bias[o]);
              ASSERT_NEAR(dst.at(y, x, o), wanted, Rounding(s, 4e-6)) << y << " " << x << " " << o;
              if (!plain) ASSERT_NEAR(sum.at(y, x, o), wanted + add.at(y, x, o), Rounding(s, 4e-6));
            }
            for (int c = dst.padded; c < dst.view.pixel; ++c)
              ASSERT_EQ(dst.at(y, x, c), untouched[y * dst.view.row + x * dst.view.pixel + c]);
          }
        }
      }
    }
  }
  EXPECT_FALSE(k_.fits_strassen(48, 64)) << "three blocks of outputs have no half";
  EXPECT_FALSE(k_.fits_strassen(64, 48));
}

TEST_P(EveryIsa, WinogradEqualsTheSum) {
  const ConvShape shapes[] = {{16, 16, 8, 8, 3, 3, 1, 1, 1},  {17, 48, 7, 13, 3, 3, 1, 1, 1},
                              {64, 80, 1, 1, 3, 3, 1, 1, 1},  {48, 112, 12, 31, 3, 3, 1, 1, 1},
                              {96, 33, 5, 3, 3, 3, 1, 1, 0},  {32, 144, 19, 26, 3, 3, 1, 1, 1},
                              {16, 320, 6, 6, 3, 3, 1, 1, 2}, {320, 144, 25, 38, 3, 3, 1, 1, 1}};
  int shares = 0, streams = 0;  // cases whose items share transformed tiles, whose weights are fetched ahead
  for (ConvShape s : shapes) {
    for (const auto& [tile, stride] : {std::pair{4, 1}, {6, 1}, {4, 2}, {2, 2}}) {
      SCOPED_TRACE(testing::Message() << s.in << "->" << s.out << " " << s.height << "x" << s.width
                                      << " tile " << tile << " stride " << stride);
      s.stride = stride;
      const int out_h = OutSize(s.height, 3, s), out_w = OutSize(s.width, 3, s);
      const OwnMap src(s.height, s.width, s.in, 48, 5), add(out_h, out_w, s.out, 0, 6);
      OwnMap dst(out_h, out_w, s.out, 16, 7), sum(out_h, out_w, s.out, 0, 8);
      const std::vector<float> weights = Draw(static_cast<std::size_t>(s.out) * s.in * 9, 9);
      const std::vector<float> zeros(src.padded, 0.0f), bias = Draw(dst.padded, 10);
      WinogradConv conv = WinogradOf(s, tile, src, dst, zeros);
      conv.epilogue = {.bias = bias.data(), .act = Act::kRelu, .add = add.view, .sum = sum.view};
      const std::vector<float> packed = PackInto(k_, s, weights, conv);
      for (const int threads : {1, 4}) {
        k_.plan_winograd(conv, threads, 1 << 19);
        RunAll(k_, conv);
        shares += conv.share;
        streams += conv.stream;
        for (int y = 0; y < out_h; ++y) {
          for (int x = 0; x < out_w; ++x) {
            for (int o = 0; o < s.out; ++o) {
              const double wanted = std::max(0.0, Sum(src, weights, s, o, y, x) + bias[o]);
              ASSERT_NEAR(dst.at(y, x, o), wanted, Rounding(s, tile == 4 ? 3e-5 : 6e-5))
                  << y << " " << x << " " << o;
              ASSERT_FLOAT_EQ(sum.at(y, x, o), dst.at(y, x, o) + add.at(y, x, o));
            }
          }
        }
      }
    }
  }
  if (k_.lanes == 16) {
    EXPECT_GT(shares, 0);
    EXPECT_GT(streams, 0);
  }
}

// Activations and where the addition stands.
TEST_P(EveryIsa, EpiloguesAsWritten) {
  struct Case {
    Act act;
    float alpha, beta;
    double (*wanted)(double);
  };
  const Case cases[] = {
      {Act::kNone, 0, 0, [](double v) { return v; }},
      {Act::kRelu, 0, 0, [](double v) { return std::max(v, 0.0); }},
      {Act::kClip, -0.25f, 0.5f, [](double v) { return std::clamp(v, -0.25, 0.5); }},
      {Act::kLeaky, 0.1f, 0, [](double v) { return v > 0 ? v : 0.1 * v; }},
      {Act::kSigmoid, 0, 0, [](double v) { return 1 / (1 + std::exp(-v)); }},
      {Act::kHardSigmoid, 0.2f, 0.5f, [](double v) { return std::clamp(0.2 * v + 0.5, 0.0, 1.0); }},
      {Act::kHardSwish, 0, 0, [](double v) { return v * std::clamp(v / 6 + 0.5, 0.0, 1.0); }},
      {Act::kSilu, 0, 0, [](double v) { return v / (1 + std::exp(-v)); }}};
  const ConvShape s{20, 24, 6, 7, 3, 3, 1, 1, 1};
  const OwnMap src(s.height, s.width, s.in, 0, 11), add(s.height, s.width, s.out, 16, 12);
  const std::vector<float> weights = Draw(static_cast<std::size_t>(s.out) * s.in * 9, 13),
                           zeros(src.padded, 0.0f);
  for (const Case& c : cases) {
    for (const int form : {0, 1, 2}) {  // no addition, before, after
      for (const bool winograd : {false, true}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(c.act) << " " << form << " " << winograd);
        OwnMap dst(s.height, s.width, s.out, 0, 14);
        Epilogue epilogue{.act = c.act, .alpha = c.alpha, .beta = c.beta, .add_first = form == 1};
        if (form > 0) epilogue.add = add.view;
        std::vector<float> packed(winograd ? k_.winograd_packed_size(4, 1, s.out, src.padded)
                                           : k_.direct_packed_size(s.out, 9, src.padded));
        if (winograd) {
          WinogradConv conv{.src = src.view,
                            .dst = dst.view,
                            .depth = src.padded,
                            .zeros = zeros.data(),
                            .epilogue = epilogue};
          k_.pack_winograd(weights.data(), s.out, s.in, src.padded, 4, 1, packed.data());
          conv.weights = {packed.data(), dst.padded / kBlock, src.padded};
          k_.plan_winograd(conv, 1, 1 << 20);
          std::vector<float> scratch(k_.winograd_scratch(conv));
          for (std::int64_t i = 0; i < conv.items; ++i) k_.winograd_conv(conv, i, scratch.data());
        } else {
          DirectConv conv{.src = src.view,
                          .dst = dst.view,
                          .kernel_h = 3,
                          .kernel_w = 3,
                          .pad_top = 1,
                          .pad_left = 1,
                          .depth = src.padded};
          conv.zeros = zeros.data();
          conv.epilogue = epilogue;
          k_.pack_direct(weights.data(), s.out, s.in, 3, 3, src.padded, packed.data());
          conv.weights = {packed.data(), dst.padded / kBlock, src.padded};
          k_.plan_direct(conv, 1, 1 << 20);
          std::vector<float> scratch(k_.direct_scratch(conv));
          for (std::int64_t i = 0; i < conv.items; ++i) k_.direct_conv(conv, i, scratch.data());
        }
        for (int y = 0; y < s.height; ++y) {
          for (int x = 0; x < s.width; ++x) {
            for (int o = 0; o < s.out; ++o) {
              const double sum = Sum(src, weights, s, o, y, x), other = add.at(y, x, o);
              const double wanted =
                  form == 1 ? c.wanted(sum + other) : c.wanted(sum) + (form == 2 ? other : 0);
              ASSERT_NEAR(dst.at(y, x, o), wanted, 1e-4);
            }
          }
        }
      }
    }
  }
}

TEST_P(EveryIsa, ElementwiseOperatorsEqualDoublePrecision) {
  struct Case {
    ProgramOp op;
    float x, y;
    double low, high;
    double (*wanted)(double a, double b, double x, double y);
    double tolerance = 2e-6;  // relative to max(1, |wanted|)
  };
  const Case cases[] = {
      {ProgramOp::kCopy, 0, 0, -2, 2, [](double a, double, double, double) { return a; }},
      {ProgramOp::kAdd, 0, 0, -2, 2, [](double a, double b, double, double) { return a + b; }},
      {ProgramOp::kSub, 0, 0, -2, 2, [](double a, double b, double, double) { return a - b; }},
      {ProgramOp::kMul, 0, 0, -2, 2, [](double a, double b, double, double) { return a * b; }},
      {ProgramOp::kDiv, 0, 0, 0.5, 2, [](double a, double b, double, double) { return a / b; }},
      {ProgramOp::kMax, 0, 0, -2, 2, [](double a, double b, double, double) { return std::max(a, b); }},
      {ProgramOp::kMin, 0, 0, -2, 2, [](double a, double b, double, double) { return std::min(a, b); }},
      {ProgramOp::kPow, 0, 0, 0.5, 2, [](double a, double b, double, double) { return std::pow(a, b); }},
      {ProgramOp::kLess, 0, 0, -2, 2, [](double a, double b, double, double) { return a < b ? 1.0 : 0.0; }},
      {ProgramOp::kLessEqual, 0, 0, -2, 2,
       [](double a, double b, double, double) { return a <= b ? 1.0 : 0.0; }},
      {ProgramOp::kAddImm, 0.3f, 0, -2, 2, [](double a, double, double x, double) { return a + x; }},
      {ProgramOp::kMulImm, 0.3f, 0, -2, 2, [](double a, double, double x, double) { return a * x; }},
      {ProgramOp::kDivImm, 0.3f, 0, -2, 2, [](double a, double, double x, double) { return a / x; }},
      {ProgramOp::kReverseDiv, 0.3f, 0, 0.5, 2, [](double a, double, double x, double) { return x / a; }},
      {ProgramOp::kPowImm, 1.7f, 0, 0.1, 2,
       [](double a, double, double x, double) { return std::pow(a, x); }},
      {ProgramOp::kNeg, 0, 0, -2, 2, [](double a, double, double, double) { return -a; }},
      {ProgramOp::kAbs, 0, 0, -2, 2, [](double a, double, double, double) { return std::abs(a); }},
      {ProgramOp::kSquare, 0, 0, -2, 2, [](double a, double, double, double) { return a * a; }},
      {ProgramOp::kSqrt, 0, 0, 0, 9, [](double a, double, double, double) { return std::sqrt(a); }},
      {ProgramOp::kReciprocal, 0, 0, 0.5, 2, [](double a, double, double, double) { return 1 / a; }},
      {ProgramOp::kExp, 0, 0, -20, 8, [](double a, double, double, double) { return std::exp(a); }},
      {ProgramOp::kLog, 0, 0, 0.01, 9, [](double a, double, double, double) { return std::log(a); }},
      {ProgramOp::kCeil, 0, 0, -5, 5, [](double a, double, double, double) { return std::ceil(a); }},
      {ProgramOp::kFloor, 0, 0, -5, 5, [](double a, double, double, double) { return std::floor(a); }},
      {ProgramOp::kRound, 0, 0, -5, 5, [](double a, double, double, double) { return std::nearbyint(a); }},
      {ProgramOp::kSign, 0, 0, -5, 5,
       [](double a, double, double, double) { return a > 0   ? 1.0
                                                     : a < 0 ? -1.0
                                                             : 0.0; }},
      {ProgramOp::kSigmoid, 0, 0, -20, 20,
       [](double a, double, double, double) { return 1 / (1 + std::exp(-a)); }},
      {ProgramOp::kTanh, 0, 0, -12, 12, [](double a, double, double, double) { return std::tanh(a); }},
      {ProgramOp::kErf, 0, 0, -4, 4, [](double a, double, double, double) { return std::erf(a); }},
      {ProgramOp::kGelu, 0, 0, -5, 5,
       [](double a, double, double, double) { return 0.5 * a * (1 + std::erf(a / std::sqrt(2.0))); }},
      {ProgramOp::kSoftplus, 0, 0, -20, 20,
       [](double a, double, double, double) { return std::log1p(std::exp(a)); }},
      {ProgramOp::kMish, 0, 0, -9, 9,
       [](double a, double, double, double) { return a * std::tanh(std::log1p(std::exp(a))); }},
      {ProgramOp::kSilu, 0, 0, -9, 9,
       [](double a, double, double, double) { return a / (1 + std::exp(-a)); }},
      {ProgramOp::kElu, 0.7f, 0, -9, 9,
       [](double a, double, double x, double) { return a < 0 ? x * std::expm1(a) : a; }},
      {ProgramOp::kSelu, 1.67f, 1.05f, -9, 9,
       [](double a, double, double x, double y) { return y * (a < 0 ? x * std::expm1(a) : a); }},
      {ProgramOp::kSoftsign, 0, 0, -9, 9,
       [](double a, double, double, double) { return a / (1 + std::abs(a)); }},
      {ProgramOp::kRelu, 0, 0, -2, 2, [](double a, double, double, double) { return std::max(a, 0.0); }},
      {ProgramOp::kClip, -1, 0.5f, -2, 2,
       [](double a, double, double x, double y) { return std::clamp(a, x, y); }},
      {ProgramOp::kLeaky, 0.1f, 0, -2, 2,
       [](double a, double, double x, double) { return a < 0 ? x * a : a; }},
      {ProgramOp::kPRelu, 0, 0, -2, 2, [](double a, double b, double, double) { return a < 0 ? b * a : a; }},
      {ProgramOp::kHardSigmoid, 0.2f, 0.5f, -4, 4,
       [](double a, double, double x, double y) { return std::clamp(x * a + y, 0.0, 1.0); }},
      {ProgramOp::kHardSwish, 0, 0, -4, 4,
       [](double a, double, double, double) { return a * std::clamp(a / 6 + 0.5, 0.0, 1.0); }},
      {ProgramOp::kStep, 0.4f, 0, -2, 2,
       [](double a, double, double x, double) { return a > x ? 1.0 : 0.0; }},
      {ProgramOp::kGate, 0, 0, -9, 9,
       [](double a, double b, double, double) { return a + b / (1 + std::exp(-a)); }},
      {ProgramOp::kThresholdedSum, 0.3f, 0, -9, 9, [](double a, double b, double x, double) {
         const double d = 1 / (1 + std::exp(-a)) - 1 / (1 + std::exp(-b));
         return a * (d > x ? 2 : 1) + b * (-d > x ? 2 : 1);
       }}};
  constexpr int kHeight = 3, kWidth = 29, kChannels = 19;
  for (const Case& c : cases) {
    SCOPED_TRACE(static_cast<int>(c.op));
    OwnMap a(kHeight, kWidth, kChannels, 0, 21), b(kHeight, kWidth, kChannels, 16, 22),
        dst(kHeight, kWidth, kChannels, 0, 23);
    const auto spread = [&](OwnMap& map) {
      for (float& v : map.values) v = static_cast<float>(c.low + (v + 1) / 2 * (c.high - c.low));
    };
    spread(a), spread(b);
    Program program{.channels = a.padded, .true_channels = kChannels, .height = kHeight, .width = kWidth};
    program.inputs = {{.kind = ProgramInput::kMap, .map = a.view},
                      {.kind = ProgramInput::kMap, .map = b.view}};
    program.code = {{c.op, 2, 0, 1, 0, c.x, c.y}};
    program.output = {2, dst.view};
    k_.plan_program(program, 2);
    std::vector<float> scratch(k_.program_scratch(program));
    for (std::int64_t i = 0; i < program.items; ++i) k_.program(program, i, scratch.data());
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        for (int ch = 0; ch < kChannels; ++ch) {
          const double wanted = c.wanted(a.at(y, x, ch), b.at(y, x, ch), c.x, c.y);
          ASSERT_NEAR(dst.at(y, x, ch), wanted, c.tolerance * std::max(1.0, std::abs(wanted)))
              << a.at(y, x, ch);
        }
        for (int ch = kChannels; ch < dst.padded; ++ch) ASSERT_EQ(dst.at(y, x, ch), 0.0f);
      }
    }
  }
}

TEST_P(EveryIsa, BroadcastAndResizedInputs) {
  constexpr int kHeight = 6, kWidth = 10, kChannels = 20;
  const OwnMap map(kHeight, kWidth, kChannels, 16, 31), vector(1, 1, kChannels, 0, 32),
      pixel(kHeight, kWidth, 1, 0, 33);
  const OwnMap scalar(1, 1, 1, 0, 34), small(3, 5, kChannels, 32, 35);
  std::vector<Tap> rows, columns;  // half-pixel, twice the size
  for (const auto& [taps, in, out] : {std::tuple{&rows, 3, kHeight}, std::tuple{&columns, 5, kWidth}}) {
    for (int o = 0; o < out; ++o) {
      const double at = std::clamp((o + 0.5) * in / out - 0.5, 0.0, in - 1.0);
      const int low = static_cast<int>(at);
      taps->push_back(
          {low, std::min(low + 1, in - 1), static_cast<float>(1 - (at - low)), static_cast<float>(at - low)});
    }
  }
  OwnMap dst(kHeight, kWidth, kChannels, 0, 36);
  Program program{.channels = map.padded, .true_channels = kChannels, .height = kHeight, .width = kWidth};
  program.inputs = {
      {.kind = ProgramInput::kMap, .map = map.view},
      {.kind = ProgramInput::kVector, .map = vector.view},
      {.kind = ProgramInput::kPixel, .map = pixel.view},
      {.kind = ProgramInput::kScalar, .map = scalar.view},
      {.kind = ProgramInput::kResized, .map = small.view, .rows = rows.data(), .columns = columns.data()}};
  program.code = {{ProgramOp::kMul, 5, 0, 1},
                  {ProgramOp::kMul, 5, 5, 2},
                  {ProgramOp::kAdd, 5, 5, 3},
                  {ProgramOp::kAdd, 5, 5, 4}};
  program.output = {5, dst.view};
  k_.plan_program(program, 3);
  std::vector<float> scratch(k_.program_scratch(program));
  for (std::int64_t i = 0; i < program.items; ++i) k_.program(program, i, scratch.data());
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < kChannels; ++c) {
        const Tap r = rows[y], q = columns[x];
        const double resized = r.first_weight * (q.first_weight * small.at(r.first, q.first, c) +
                                                 q.second_weight * small.at(r.first, q.second, c)) +
                               r.second_weight * (q.first_weight * small.at(r.second, q.first, c) +
                                                  q.second_weight * small.at(r.second, q.second, c));
        const double wanted =
            map.at(y, x, c) * vector.at(0, 0, c) * pixel.at(y, x, 0) + scalar.at(0, 0, 0) + resized;
        ASSERT_NEAR(dst.at(y, x, c), wanted, 1e-6);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryIsa, testing::ValuesIn(AllKernels()),
                         [](const auto& info) { return std::string(info.param->isa); });

TEST(Dispatch, NamesWhatIsThereAndRefusesTheRest) {
  EXPECT_STREQ(KernelsNamed("baseline").isa, "baseline");
  EXPECT_THROW(KernelsNamed("avx1024"), std::exception);
  EXPECT_EQ(AllKernels().front()->lanes, 4);
}

}  // namespace
}  // namespace frf::test
