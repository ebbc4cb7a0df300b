// SPDX-License-Identifier: Apache-2.0
// Convolutions in 16 bits: kernels against sums of rounded operands, whole networks against float32, and what
// happens where the CPU cannot.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/half.h"
#include "engine/conv_sum.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/program.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"
#include "engine/session.h"
#include "engine/small_model.h"
#include "frf/error.h"

namespace frf::test {
namespace {

using namespace frf::kernels;

float Rounded(float value, Precision precision) {
  if (precision == Precision::kFloat16) return FloatFromHalf(HalfFromFloat(value));
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

void RoundAll(std::vector<float>& values, Precision precision) {
  for (float& value : values) value = Rounded(value, precision);
}

std::vector<const ConvKernels*> PairKernels() {
  std::vector<const ConvKernels*> all = AllConvKernels();
  std::erase_if(all, [](const ConvKernels* k) { return k->precision == Precision::kFloat32; });
  return all;
}

class EveryPrecision : public testing::TestWithParam<const ConvKernels*> {
 protected:
  const ConvKernels& k_ = *GetParam();
  // Of a sum in float32, or of two in halves, which lose 2^-12 of what they hold at every product: it grows
  // with the root of their number, and so do the losses.
  double SumError(int terms) const {
    return k_.precision == Precision::kBfloat16 ? 2e-6 * (1 + std::sqrt(static_cast<double>(terms)))
                                                : (1 + terms / 2.0) / 2048;
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryPrecision);

TEST_P(EveryPrecision, DirectConvolutionIsTheSumOfRoundedOperands) {
  const ConvShape shapes[] = {{16, 16, 5, 5, 1, 1, 1, 1, 0},  {17, 33, 6, 11, 3, 3, 2, 1, 1},
                              {48, 80, 4, 13, 3, 3, 1, 2, 2}, {40, 96, 9, 3, 5, 5, 1, 1, 2},
                              {96, 112, 3, 7, 1, 1, 2, 1, 0}, {16, 144, 1, 1, 1, 1, 1, 1, 0},
                              {32, 19, 8, 8, 1, 3, 1, 1, 0},  {352, 96, 17, 19, 1, 1, 1, 1, 0}};
  for (const ConvShape& s : shapes) {
    SCOPED_TRACE(testing::Message() << s.in << "->" << s.out << " " << s.height << "x" << s.width);
    const int out_h = OutSize(s.height, s.kernel_h, s), out_w = OutSize(s.width, s.kernel_w, s);
    const OwnMap src(s.height, s.width, s.in, 16, 1);
    OwnMap rounded = src, dst(out_h, out_w, s.out, 32, 2);
    RoundAll(rounded.values, k_.precision);
    const int terms = s.in * s.kernel_h * s.kernel_w;
    const std::vector<float> weights = Draw(static_cast<std::size_t>(s.out) * terms, 3);
    std::vector<float> rounded_weights = weights;
    RoundAll(rounded_weights, k_.precision);
    const std::vector<float> zeros(src.padded, 0.0f), bias = Draw(dst.padded, 4);
    const std::vector<float> untouched = dst.values;
    DirectConv conv = DirectOf(s, src, dst, zeros);
    conv.epilogue = {.bias = bias.data(), .act = Act::kRelu};
    const std::vector<float> packed = PackInto(k_, s, weights, conv);
    EXPECT_EQ(packed.size() * 2, static_cast<std::size_t>(dst.padded) * src.padded * s.kernel_h * s.kernel_w);
    for (const int threads : {1, 7}) {
      k_.plan_direct(conv, threads, 1 << 20);
      RunAll(k_, conv);
      for (int y = 0; y < out_h; ++y) {
        for (int x = 0; x < out_w; ++x) {
          for (int o = 0; o < s.out; ++o) {
            ASSERT_NEAR(dst.at(y, x, o), std::max(0.0, Sum(rounded, rounded_weights, s, o, y, x) + bias[o]),
                        SumError(terms))
                << y << " " << x << " " << o;
          }
          for (int c = dst.padded; c < dst.view.pixel; ++c)
            ASSERT_EQ(dst.at(y, x, c), untouched[y * dst.view.row + x * dst.view.pixel + c]);
        }
      }
    }
  }
}

TEST_P(EveryPrecision, DirectConvolutionIsFollowedByAProgram) {
  const ConvShape s{48, 64, 9, 23, 1, 1, 1, 1, 0};
  const OwnMap src(s.height, s.width, s.in, 0, 21), other(s.height, s.width, s.out, 0, 22);
  OwnMap dst(s.height, s.width, s.out, 16, 23);
  const std::vector<float> weights = Draw(static_cast<std::size_t>(s.out) * s.in, 24),
                           zeros(src.padded, 0.0f);
  Program program{.channels = s.out, .true_channels = s.out, .height = s.height, .width = s.width};
  program.inputs = {{.kind = ProgramInput::kMap}, {.kind = ProgramInput::kMap, .map = other.view}};
  program.code = {{ProgramOp::kMul, 2, 0, 1}};
  program.output = {.reg = 2, .map = dst.view};
  BestKernels().plan_program(program, 2);
  DirectConv conv = DirectOf(s, src, dst, zeros);
  conv.dst = {nullptr, s.height, s.width, s.out, s.out, static_cast<std::ptrdiff_t>(s.width) * s.out};
  conv.after = &program;
  const std::vector<float> packed = PackInto(k_, s, weights, conv);
  k_.plan_direct(conv, 2, 1 << 20);
  RunAll(k_, conv);
  for (int y = 0; y < s.height; ++y) {
    for (int x = 0; x < s.width; ++x) {
      for (int o = 0; o < s.out; ++o)
        ASSERT_NEAR(dst.at(y, x, o), Sum(src, weights, s, o, y, x) * other.at(y, x, o), 0.05);
    }
  }
}

// Transforms spread a rounding over a tile, so single results say little: the root of the mean square of all
// errors does, beside that of the results. A tap left out would be 0.08 (16 channels) to 0.02 (320).
TEST_P(EveryPrecision, WinogradIsTheSumButForRounding) {
  const ConvShape shapes[] = {{16, 16, 8, 8, 3, 3, 1, 1, 1},    {17, 48, 7, 13, 3, 3, 1, 1, 1},
                              {64, 80, 1, 1, 3, 3, 1, 1, 1},    {48, 112, 12, 31, 3, 3, 1, 1, 1},
                              {32, 144, 19, 26, 3, 3, 1, 1, 1}, {320, 144, 25, 38, 3, 3, 1, 1, 1}};
  for (ConvShape s : shapes) {
    for (const auto& [tile, stride] : {std::pair{4, 1}, {4, 2}, {2, 2}}) {
      SCOPED_TRACE(testing::Message() << s.in << "->" << s.out << " " << s.height << "x" << s.width
                                      << " tile " << tile << " stride " << stride);
      s.stride = stride;
      const int out_h = OutSize(s.height, 3, s), out_w = OutSize(s.width, 3, s);
      const OwnMap src(s.height, s.width, s.in, 48, 5), add(out_h, out_w, s.out, 0, 6);
      OwnMap dst(out_h, out_w, s.out, 16, 7), sum(out_h, out_w, s.out, 0, 8);
      const std::vector<float> weights = Draw(static_cast<std::size_t>(s.out) * s.in * 9, 9);
      const std::vector<float> zeros(src.padded, 0.0f), bias = Draw(dst.padded, 10);
      WinogradConv conv = WinogradOf(s, tile, src, dst, zeros);
      conv.epilogue = {.bias = bias.data(), .add = add.view, .sum = sum.view};
      const std::vector<float> packed = PackInto(k_, s, weights, conv);
      for (const int threads : {1, 4}) {
        k_.plan_winograd(conv, threads, 1 << 19);
        RunAll(k_, conv);
        double errors = 0, results = 0;
        for (int y = 0; y < out_h; ++y) {
          for (int x = 0; x < out_w; ++x) {
            for (int o = 0; o < s.out; ++o) {
              const double wanted = Sum(src, weights, s, o, y, x), got = dst.at(y, x, o) - bias[o];
              errors += (got - wanted) * (got - wanted), results += wanted * wanted;
              ASSERT_FLOAT_EQ(sum.at(y, x, o), dst.at(y, x, o) + add.at(y, x, o));
            }
          }
        }
        // Halves lose in their sums too, the more the longer these are.
        EXPECT_LT(std::sqrt(errors / results),
                  k_.precision == Precision::kBfloat16 ? 0.016 : 0.001 + 0.0006 * std::sqrt(s.in));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryPrecision, testing::ValuesIn(PairKernels()), [](const auto& info) {
  std::string name = info.param->isa;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A session's scores, with FP16 emulated where there is none.
std::vector<float> ScoresIn(const std::shared_ptr<LoadedModel>& model, Precision precision,
                            const Image& image) {
  setenv("FRF_EMULATE_F16", "1", 1);
  Session session(model, {.threads = 2, .precision = precision});
  const std::vector<float> scores = session.Scores(image.view());
  unsetenv("FRF_EMULATE_F16");
  return scores;
}

TEST(Precision, NetworksGiveNearlyFloat32sScores) {
  const auto model = std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative}));
  for (const auto& [height, width] : {std::pair{96, 160}, {101, 67}}) {
    const Image image = Photo(height, width);
    const std::vector<float> wanted = ScoresIn(model, Precision::kFloat32, image);
    double power = 0;
    for (const float value : wanted) power += static_cast<double>(value) * value;
    for (const Precision precision : {Precision::kBfloat16, Precision::kFloat16}) {
      SCOPED_TRACE(testing::Message() << NameOf(precision) << " " << height << "x" << width);
      const auto runs = PairKernels();
      if (std::none_of(runs.begin(), runs.end(), [&](const auto* k) { return k->precision == precision; })) {
        EXPECT_THROW(ScoresIn(model, precision, image), Error);
        continue;
      }
      const std::vector<float> got = ScoresIn(model, precision, image);
      ASSERT_EQ(got.size(), wanted.size());
      double errors = 0;
      for (std::size_t i = 0; i < got.size(); ++i)
        errors += std::pow(static_cast<double>(got[i]) - wanted[i], 2);
      const double difference = std::sqrt(errors / power);
      EXPECT_LT(difference, precision == Precision::kBfloat16 ? 0.1 : 0.06);
      EXPECT_GT(difference, 1e-6) << "it computes in float32";
    }
    EXPECT_EQ(ScoresIn(model, Precision::kFloat32, image), wanted) << "packed weights of another precision";
  }
}

TEST(Precision, IsRefusedWhereTheCpuCannot) {
  unsetenv("FRF_EMULATE_F16");
  const Model model = MakeModel("frfnet-slim", {.fit = Fit::kNative});
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(model.graph), {1, 3, 64, 64});
  for (const Precision precision : {Precision::kBfloat16, Precision::kFloat16}) {
    engine::WeightStore weights;
    try {
      engine::Plan(engine::Lower(prepared), weights,
                   {.threads = 1, .kernels = BaselineKernels(), .precision = precision});
      FAIL() << NameOf(precision) << " on any CPU?";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_NE(std::string(error.what()).find(NameOf(precision)), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(PrecisionNamed("bf16"), Precision::kBfloat16);
  EXPECT_THROW(PrecisionNamed("half"), Error);
}

}  // namespace
}  // namespace frf::test
