// SPDX-License-Identifier: Apache-2.0
// Channel-blocked operators against libtorch's, values and gradients, with sizes that break tails (1, 13,
// 127).
#include "train/blocked.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "support/support.h"

namespace frf {
namespace {

using torch::Tensor;

Tensor RandomTensor(std::vector<std::int64_t> shape, std::uint64_t seed) {
  Tensor tensor = torch::empty(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    tensor.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  return tensor;
}

double Distance(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return ((a - b).norm() / (b.norm() + 1e-12)).item<double>();
}

// Runs both on leaves of the same values, backpropagates the same direction, and bounds every difference.
void ExpectSame(const std::function<Tensor(const std::vector<Tensor>&)>& ours,
                const std::function<Tensor(const std::vector<Tensor>&)>& theirs,
                const std::vector<Tensor>& inputs, double bound) {
  std::vector<Tensor> a, b;
  for (const Tensor& input : inputs) {
    a.push_back(input.clone().set_requires_grad(true));
    b.push_back(input.to(torch::kFloat64).set_requires_grad(true));
  }
  const Tensor x = ours(a), y = theirs(b);
  EXPECT_LT(Distance(x.detach(), y.detach()), bound);
  const Tensor direction = RandomTensor(y.sizes().vec(), 99);
  (x * direction).sum().backward();
  (y * direction.to(torch::kFloat64)).sum().backward();
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(a[i].grad().defined()) << "input " << i;
    EXPECT_LT(Distance(a[i].grad(), b[i].grad()), bound) << "gradient of input " << i;
  }
}

TEST(BlockedMaps, GoThereAndBack) {
  const Tensor x = RandomTensor({2, 48, 5, 13}, 1);
  const Tensor blocked = ToBlocked(x);
  EXPECT_EQ(blocked.sizes(), (std::vector<std::int64_t>{2, 3, 5, 13, 16}));
  EXPECT_EQ(blocked[1][2][4][12][7].item<float>(), x[1][39][4][12].item<float>());
  EXPECT_TRUE(torch::equal(FromBlocked(blocked), x));
  EXPECT_TRUE(torch::equal(FromBlocked(ToBlocked(x.contiguous(torch::MemoryFormat::ChannelsLast))), x));
}

struct ConvCase {
  int images, in, out, height, width, kernel, stride, dilation;
  bool bias, winograd;
  int pad = -1;  // -1: as large as keeps the map's size
};
class BlockedConvolutions : public testing::TestWithParam<ConvCase> {};

TEST_P(BlockedConvolutions, EqualTorch) {
  if (!BlockedConvolutionsWork()) GTEST_SKIP() << "needs oneDNN 2.x and AVX-512";
  const ConvCase& c = GetParam();
  auto spec = std::make_shared<BlockedConvSpec>();
  spec->stride = {c.stride, c.stride};
  const int pad = c.pad >= 0 ? c.pad : c.dilation * (c.kernel - 1) / 2;
  spec->pad = {pad, pad};
  spec->dilation = {c.dilation, c.dilation};
  spec->winograd = c.winograd;
  std::vector<Tensor> inputs{
      RandomTensor({c.images, c.in, c.height, c.width}, 1),
      RandomTensor({c.out, c.in, c.kernel, c.kernel}, 2).contiguous(torch::MemoryFormat::ChannelsLast)};
  if (c.bias) inputs.push_back(RandomTensor({c.out}, 3));
  const auto ours = [&](const std::vector<Tensor>& t) {
    const Tensor y = BlockedConv(ToBlocked(t[0]), t[1], c.bias ? t[2] : Tensor(), spec);
    return y.dim() == 5 ? FromBlocked(y) : y;
  };
  const auto theirs = [&](const std::vector<Tensor>& t) {
    return at::conv2d(t[0], t[1], c.bias ? c10::optional<Tensor>(t[2]) : c10::nullopt, {c.stride, c.stride},
                      {pad, pad}, {c.dilation, c.dilation});
  };
  ExpectSame(ours, theirs, inputs, c.winograd ? 1e-5 : 1e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, BlockedConvolutions,
    testing::Values(
        ConvCase{2, 48, 48, 23, 30, 3, 1, 1, false, true}, ConvCase{1, 16, 32, 1, 1, 3, 1, 1, false, true},
        ConvCase{3, 112, 112, 12, 15, 3, 1, 1, false, true},
        ConvCase{1, 64, 48, 13, 127, 3, 1, 1, false, true}, ConvCase{4, 144, 144, 3, 4, 3, 1, 1, false, true},
        ConvCase{2, 320, 128, 6, 8, 3, 1, 1, false, true}, ConvCase{2, 48, 48, 23, 30, 3, 1, 1, false, false},
        ConvCase{2, 96, 48, 23, 31, 3, 2, 1, false, false}, ConvCase{2, 256, 96, 13, 7, 1, 1, 1, false, true},
        ConvCase{2, 64, 11, 9, 13, 1, 1, 1, true, true}, ConvCase{1, 64, 19, 9, 13, 1, 1, 1, true, true},
        ConvCase{1, 32, 32, 17, 17, 3, 1, 2, false, true}, ConvCase{1, 16, 1, 13, 1, 3, 1, 1, true, true},
        ConvCase{1, 16, 64, 15, 15, 7, 2, 1, false, true},
        // Winograd's kernel gradient in more than one run of tiles; outputs that fill no block; other
        // borders.
        ConvCase{2, 128, 128, 47, 64, 3, 1, 1, false, true},
        ConvCase{2, 32, 40, 13, 17, 3, 1, 1, false, true},
        ConvCase{2, 32, 48, 12, 19, 3, 1, 1, false, true, 0},
        ConvCase{2, 48, 80, 12, 19, 3, 1, 1, false, true, 2}));

TEST(BlockedMaps, ImageConvolutionGivesWeightGradients) {
  if (!BlockedConvolutionsWork()) GTEST_SKIP() << "needs oneDNN 2.x and AVX-512";
  auto spec = std::make_shared<BlockedConvSpec>();
  spec->stride = {2, 2};
  spec->pad = {1, 1};
  spec->plain_input = true;
  const Tensor image = RandomTensor({2, 3, 45, 61}, 4);
  ExpectSame(
      [&](const std::vector<Tensor>& t) { return FromBlocked(BlockedConv(image, t[0], {}, spec)); },
      [&](const std::vector<Tensor>& t) { return at::conv2d(image.to(torch::kFloat64), t[0], {}, 2, 1); },
      {RandomTensor({32, 3, 3, 3}, 5)}, 1e-6);
}

TEST(BlockedMaps, BatchNormInEveryForm) {
  for (const bool training : {true, false}) {
    for (const bool relu : {true, false}) {
      for (const bool with_residual : {true, false}) {
        SCOPED_TRACE(testing::Message()
                     << "training " << training << ", relu " << relu << ", residual " << with_residual);
        const Tensor mean = RandomTensor({32}, 6), variance = RandomTensor({32}, 7).abs() + 0.5;
        Tensor our_mean = mean.clone(), our_variance = variance.clone();
        Tensor their_mean = mean.to(torch::kFloat64), their_variance = variance.to(torch::kFloat64);
        // A mean far from 0 shows cancellation in the variance; 127 x 13 pixels cross a run's end.
        std::vector<Tensor> inputs{RandomTensor({2, 32, 127, 13}, 1) * 2 + 30, RandomTensor({32}, 2),
                                   RandomTensor({32}, 3)};
        if (with_residual) inputs.push_back(RandomTensor({2, 32, 127, 13}, 4));
        ExpectSame(
            [&](const std::vector<Tensor>& t) {
              return FromBlocked(BlockedBatchNorm({.x = ToBlocked(t[0]),
                                                   .gamma = t[1],
                                                   .beta = t[2],
                                                   .running_mean = our_mean,
                                                   .running_variance = our_variance,
                                                   .residual = with_residual ? ToBlocked(t[3]) : Tensor(),
                                                   .relu = relu,
                                                   .training = training}));
            },
            [&](const std::vector<Tensor>& t) {
              Tensor y =
                  at::batch_norm(t[0], t[1], t[2], their_mean, their_variance, training, 0.1, 1e-5, false);
              if (relu) y = at::relu(y);
              return with_residual ? y + t[3] : y;
            },
            inputs, 2e-5);
        EXPECT_LT(Distance(our_mean, their_mean), 1e-6);
        EXPECT_LT(Distance(our_variance, their_variance), 1e-5);
      }
    }
  }
}

TEST(BlockedMaps, MaxPool) {
  for (const auto& [height, width, kernel, stride, pad, ceil] :
       {std::tuple{13, 127, 3, 2, 1, false}, std::tuple{1, 1, 3, 2, 1, false},
        std::tuple{12, 15, 2, 2, 0, false}, std::tuple{7, 8, 3, 2, 0, true},
        std::tuple{5, 5, 5, 1, 2, false}}) {
    SCOPED_TRACE(testing::Message() << height << "x" << width << " kernel " << kernel);
    const BlockedPoolSpec spec{
        .kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {pad, pad}, .ceil_mode = ceil};
    ExpectSame(
        [&](const std::vector<Tensor>& t) { return FromBlocked(BlockedMaxPool(ToBlocked(t[0]), spec)); },
        [&](const std::vector<Tensor>& t) { return at::max_pool2d(t[0], kernel, stride, pad, 1, ceil); },
        {RandomTensor({2, 32, height, width}, 1)}, 1e-6);
  }
}

TEST(BlockedMaps, MaxPoolKeepsNaN) {
  Tensor x = torch::zeros({1, 16, 4, 4});
  x[0][3][1][1] = NAN;
  const Tensor y =
      FromBlocked(BlockedMaxPool(ToBlocked(x), {.kernel = {2, 2}, .stride = {2, 2}, .pad = {0, 0}}));
  EXPECT_TRUE(std::isnan(y[0][3][0][0].item<float>()));
  EXPECT_EQ(y[0][2][0][0].item<float>(), 0.0f);
}

TEST(BlockedMaps, Resize) {
  for (const auto& [h, w, out_h, out_w] :
       {std::tuple{6, 8, 12, 16}, std::tuple{12, 15, 23, 30}, std::tuple{1, 1, 7, 13},
        std::tuple{13, 127, 26, 1}, std::tuple{9, 9, 4, 3}}) {
    const std::int64_t height = out_h, width = out_w;
    SCOPED_TRACE(testing::Message() << h << "x" << w << " to " << height << "x" << width);
    ExpectSame(
        [&](const std::vector<Tensor>& t) {
          return FromBlocked(BlockedResize(ToBlocked(t[0]), height, width));
        },
        [&](const std::vector<Tensor>& t) {
          return at::upsample_bilinear2d(t[0], {height, width}, false);
        },
        {RandomTensor({2, 16, h, w}, 1)}, 1e-5);
  }
}

TEST(BlockedMaps, GateAndMaskedSum) {
  const std::vector<Tensor> inputs{RandomTensor({1, 32, 13, 127}, 1) * 3,
                                   RandomTensor({1, 32, 13, 127}, 2) * 3};
  ExpectSame(
      [](const std::vector<Tensor>& t) { return FromBlocked(BlockedGate(ToBlocked(t[0]), ToBlocked(t[1]))); },
      [](const std::vector<Tensor>& t) { return t[0] + t[1] * at::sigmoid(t[0]); }, inputs, 1e-6);
  ExpectSame(
      [](const std::vector<Tensor>& t) {
        return FromBlocked(BlockedMaskedSum(ToBlocked(t[0]), ToBlocked(t[1]), 0.4));
      },
      [](const std::vector<Tensor>& t) {
        const Tensor diff = (at::sigmoid(t[0]) - at::sigmoid(t[1])).detach();
        return t[0] * (1 + (diff > 0.4).to(torch::kFloat64)) + t[1] * (1 + (-diff > 0.4).to(torch::kFloat64));
      },
      inputs, 1e-6);
}

TEST(BlockedMaps, GateAtExtremes) {
  const Tensor o = torch::tensor({-200.0f, 200.0f, 0.0f, 88.5f}).repeat({4}).reshape({1, 16, 1, 1}),
               l = torch::ones_like(o);
  const Tensor y = FromBlocked(BlockedGate(ToBlocked(o), ToBlocked(l))).flatten();
  EXPECT_FLOAT_EQ(y[0].item<float>(), -200.0f);
  EXPECT_FLOAT_EQ(y[1].item<float>(), 201.0f);
  EXPECT_FLOAT_EQ(y[2].item<float>(), 0.5f);
  EXPECT_FLOAT_EQ(y[3].item<float>(), 89.5f);
}

TEST(BlockedMaps, Spectral) {
  const Tensor basis = RandomTensor({32, 3, 13}, 2);
  const Tensor blocked_basis = ToBlocked(basis.unsqueeze(0)).squeeze(0).contiguous();
  ExpectSame(
      [&](const std::vector<Tensor>& t) {
        return FromBlocked(BlockedSpectral(ToBlocked(t[0]), blocked_basis));
      },
      [&](const std::vector<Tensor>& t) {
        return (t[0] * basis.to(torch::kFloat64)).sum({2, 3}, true);
      },
      {RandomTensor({2, 32, 3, 13}, 1)}, 1e-5);
}

TEST(BlockedMaps, ThreadsDoNotChangeNormsAndGates) {
  const auto run = [](int threads) {
    at::set_num_threads(threads);
    Tensor x = ToBlocked(RandomTensor({2, 48, 31, 37}, 1)).set_requires_grad(true);
    const Tensor gamma = RandomTensor({48}, 2), beta = RandomTensor({48}, 3);
    const Tensor y = BlockedGate(BlockedBatchNorm({.x = x,
                                                   .gamma = gamma,
                                                   .beta = beta,
                                                   .running_mean = torch::zeros({48}),
                                                   .running_variance = torch::ones({48}),
                                                   .relu = true,
                                                   .training = true}),
                                 x);
    (y * y).sum().backward();
    return x.grad();
  };
  const Tensor one = run(1), two = run(2);
  EXPECT_TRUE(torch::equal(one, two));
}

}  // namespace
}  // namespace frf
