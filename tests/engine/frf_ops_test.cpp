// SPDX-License-Identifier: Apache-2.0
// Operators of domain "frf": values against their definitions in double, and against their lowering to
// standard nodes to the bit (what a written file of fixed size computes).
#include <cmath>
#include <numbers>

#include "engine/helpers.h"
#include "graph/spectral.h"

namespace frf::test {
namespace {

double SpectralMean(const Tensor& x, std::int64_t plane, std::int64_t u, std::int64_t v) {
  const std::int64_t h = x.dim(2), w = x.dim(3);
  double sum = 0;
  for (std::int64_t i = 0; i < h; ++i) {
    for (std::int64_t j = 0; j < w; ++j) {
      sum += x.data<float>()[(plane * h + i) * w + j] *
             std::cos(std::numbers::pi * static_cast<double>(u) * (static_cast<double>(i) + 0.5) /
                      static_cast<double>(h)) *
             std::cos(std::numbers::pi * static_cast<double>(v) * (static_cast<double>(j) + 0.5) /
                      static_cast<double>(w));
    }
  }
  return sum / static_cast<double>(h * w);
}

TEST(SpectralPool, EqualsItsDefinition) {
  // Six channels: two means, then (0,1) for one, (6,0) for two, (3,5) for one.
  const Attributes attributes{
      {"frequencies", Ints{0, 0, 0, 1, 6, 0, 3, 5}}, {"channels", Ints{2, 1, 2, 1}}, {"scale", 7.0f}};
  const Ints u{0, 0, 0, 6, 6, 3}, v{0, 0, 1, 0, 0, 5};
  for (const Shape& shape :
       {Shape{1, 6, 12, 15}, Shape{2, 6, 7, 13}, Shape{1, 6, 1, 127}, Shape{1, 6, 23, 1}}) {
    const Tensor x = RandomTensor(shape, 8);
    const Tensor y = RunOne("frf.SpectralPool", {x}, attributes);
    ASSERT_EQ(y.shape(), (Shape{shape[0], 6, 1, 1}));
    for (std::int64_t p = 0; p < y.size(); ++p) {
      const std::int64_t a = u[p % 6], b = v[p % 6];
      const double factor =
          a + b == 0 ? 1 : 7 * (a > 0 ? std::numbers::sqrt2 : 1) * (b > 0 ? std::numbers::sqrt2 : 1);
      EXPECT_NEAR(y.data<float>()[p], factor * SpectralMean(x, p, a, b), 2e-6)
          << ToString(shape) << " plane " << p;
    }
    const PoolMatrices m =
        SpectralPoolMatrices(MakeNode("frf.SpectralPool", 1, attributes), shape[2], shape[3]);
    ExpectTensor(RunOne("MatMul", {m.rows, RunOne("MatMul", {x, m.columns})}), y);
  }
  EXPECT_FRF_ERROR(RunOne("frf.SpectralPool", {RandomTensor({1, 5, 4, 4}, 1)}, attributes),
                   ErrorCode::kInvalidArgument, "groups hold 6");
  EXPECT_FRF_ERROR(RunOne("frf.SpectralPool", {RandomTensor({1, 2, 4, 4}, 1)},
                          {{"frequencies", Ints{0}}, {"channels", Ints{2}}}),
                   ErrorCode::kCorruptFile, "pair");
}

TEST(AdaptiveAveragePool, BinsOverlapAsInTorch) {
  // 5 -> 3: bins [0,2), [1,4), [3,5); 2 -> 3 (fewer than bins): [0,1), [0,2), [1,2).
  const Tensor x = F({1, 1, 2, 5}, {1, 2, 3, 4, 5, 10, 20, 30, 40, 50});
  ExpectTensor(RunOne("frf.AdaptiveAveragePool", {x}, {{"out", Ints{1, 3}}}),
               F({1, 1, 1, 3}, {8.25f, 16.5f, 24.75f}), 1e-5);
  ExpectTensor(RunOne("frf.AdaptiveAveragePool", {x}, {{"out", Ints{3, 1}}}), F({1, 1, 3, 1}, {3, 16.5f, 30}),
               1e-5);
  const Tensor wide = RandomTensor({1, 13, 12, 15}, 2);
  const PoolMatrices m = AdaptivePoolMatrices(12, 15, 6, 6);
  ExpectTensor(RunOne("MatMul", {m.rows, RunOne("MatMul", {wide, m.columns})}),
               RunOne("frf.AdaptiveAveragePool", {wide}, {{"out", Ints{6, 6}}}));
  EXPECT_FRF_ERROR(RunOne("frf.AdaptiveAveragePool", {x}, {{"out", Ints{0, 1}}}), ErrorCode::kInvalidArgument,
                   "out");
}

TEST(DropChannels, IsTheIdentity) {
  const Tensor x = RandomTensor({1, 3, 2, 2}, 1);
  ExpectTensor(RunOne("frf.DropChannels", {x}, {{"p", 0.5f}}), x);
}

}  // namespace
}  // namespace frf::test
