// SPDX-License-Identifier: Apache-2.0
// Convolutions and matrix products against loops written from ONNX's text, with sizes that leave vector tails
// (1, 13, 127), and a few results worked out by hand.
#include "engine/helpers.h"
#include "engine/onednn.h"
#include "graph/shapes.h"

namespace frf::test {
namespace {

struct Case {
  Shape x, w;
  Ints strides{1, 1}, pads{0, 0, 0, 0}, dilations{1, 1};
  std::int64_t group = 1;
  bool bias = false;
  Ints output_padding{0, 0};
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << ToString(c.x) << " * " << ToString(c.w) << " stride " << c.strides[0] << "," << c.strides[1]
       << " pads " << c.pads[0] << "," << c.pads[1] << "," << c.pads[2] << "," << c.pads[3] << " dilation "
       << c.dilations[0] << "," << c.dilations[1] << " group " << c.group;
}

float At(const Tensor& t, std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
  return t.data<float>()[((n * t.dim(1) + c) * t.dim(2) + y) * t.dim(3) + x];
}

Tensor LoopConv(const Case& k, const Tensor& x, const Tensor& w, const Tensor& bias) {
  Shape out{k.x[0], k.w[0], 0, 0};
  for (int i = 0; i < 2; ++i) {
    out[2 + i] =
        (k.x[2 + i] + k.pads[i] + k.pads[2 + i] - (k.w[2 + i] - 1) * k.dilations[i] - 1) / k.strides[i] + 1;
  }
  Tensor y = Tensor::Zeros(DType::kFloat32, out);
  const std::int64_t out_per_group = k.w[0] / k.group;
  float* dst = y.data<float>();
  for (std::int64_t n = 0; n < out[0]; ++n)
    for (std::int64_t o = 0; o < out[1]; ++o)
      for (std::int64_t i = 0; i < out[2]; ++i)
        for (std::int64_t j = 0; j < out[3]; ++j) {
          double sum = k.bias ? bias.data<float>()[o] : 0;
          for (std::int64_t c = 0; c < k.w[1]; ++c)
            for (std::int64_t p = 0; p < k.w[2]; ++p)
              for (std::int64_t q = 0; q < k.w[3]; ++q) {
                const std::int64_t r = i * k.strides[0] - k.pads[0] + p * k.dilations[0],
                                   s = j * k.strides[1] - k.pads[1] + q * k.dilations[1];
                if (r < 0 || r >= k.x[2] || s < 0 || s >= k.x[3]) continue;
                sum +=
                    static_cast<double>(At(x, n, o / out_per_group * k.w[1] + c, r, s)) * At(w, o, c, p, q);
              }
          *dst++ = static_cast<float>(sum);
        }
  return y;
}

Tensor LoopConvTranspose(const Case& k, const Tensor& x, const Tensor& w, const Tensor& bias) {
  Shape out{k.x[0], k.w[1] * k.group, 0, 0};
  for (int i = 0; i < 2; ++i) {
    out[2 + i] = k.strides[i] * (k.x[2 + i] - 1) + k.output_padding[i] + (k.w[2 + i] - 1) * k.dilations[i] +
                 1 - k.pads[i] - k.pads[2 + i];
  }
  Tensor y = Tensor::Zeros(DType::kFloat32, out);
  float* dst = y.data<float>();
  const auto place = [&](std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) -> float& {
    return dst[((n * out[1] + c) * out[2] + i) * out[3] + j];
  };
  const std::int64_t in_per_group = k.x[1] / k.group;
  for (std::int64_t n = 0; n < k.x[0]; ++n)
    for (std::int64_t c = 0; c < k.x[1]; ++c)
      for (std::int64_t i = 0; i < k.x[2]; ++i)
        for (std::int64_t j = 0; j < k.x[3]; ++j)
          for (std::int64_t o = 0; o < k.w[1]; ++o)
            for (std::int64_t p = 0; p < k.w[2]; ++p)
              for (std::int64_t q = 0; q < k.w[3]; ++q) {
                const std::int64_t r = i * k.strides[0] - k.pads[0] + p * k.dilations[0],
                                   s = j * k.strides[1] - k.pads[1] + q * k.dilations[1];
                if (r < 0 || r >= out[2] || s < 0 || s >= out[3]) continue;
                place(n, c / in_per_group * k.w[1] + o, r, s) += At(x, n, c, i, j) * At(w, c, o, p, q);
              }
  if (k.bias) {
    for (std::int64_t i = 0; i < y.size(); ++i) dst[i] += bias.data<float>()[i / (out[2] * out[3]) % out[1]];
  }
  return y;
}

Attributes ConvAttributes(const Case& k) {
  return {{"strides", k.strides},
          {"pads", k.pads},
          {"dilations", k.dilations},
          {"group", k.group},
          {"kernel_shape", Ints{k.w[2], k.w[3]}}};
}

class ConvCases : public testing::TestWithParam<Case> {};

TEST_P(ConvCases, EqualsTheLoop) {
  const Case& k = GetParam();
  const Tensor x = RandomTensor(k.x, 1), w = RandomTensor(k.w, 2), bias = RandomTensor({k.w[0]}, 3);
  std::vector<Tensor> inputs{x, w};
  if (k.bias) inputs.push_back(bias);
  ExpectTensor(RunOne("Conv", inputs, ConvAttributes(k)), LoopConv(k, x, w, bias), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    Plain, ConvCases,
    testing::Values(
        Case{.x = {1, 1, 1, 1}, .w = {1, 1, 1, 1}},
        Case{.x = {1, 13, 13, 127}, .w = {13, 13, 1, 1}, .bias = true},
        Case{.x = {2, 3, 13, 13}, .w = {127, 3, 3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}},
        Case{.x = {1, 127, 5, 13}, .w = {13, 127, 3, 3}, .pads = {1, 1, 1, 1}, .bias = true},
        Case{.x = {1, 16, 9, 10}, .w = {16, 1, 3, 3}, .pads = {1, 1, 1, 1}, .group = 16, .bias = true},
        Case{.x = {1, 13, 9, 10}, .w = {13, 1, 3, 3}, .strides = {2, 1}, .pads = {1, 1, 1, 1}, .group = 13},
        Case{.x = {1, 6, 7, 7}, .w = {9, 2, 3, 3}, .pads = {0, 1, 2, 3}, .group = 3, .bias = true},
        Case{.x = {1, 8, 20, 21}, .w = {8, 8, 3, 3}, .pads = {4, 4, 4, 4}, .dilations = {4, 4}},
        Case{.x = {1, 8, 20, 21}, .w = {8, 8, 3, 1}, .pads = {2, 0, 2, 0}, .dilations = {2, 1}, .bias = true},
        Case{.x = {1, 8, 8, 8}, .w = {8, 8, 2, 2}, .strides = {3, 3}, .pads = {0, 1, 1, 0}},
        Case{.x = {1, 4, 7, 9}, .w = {5, 4, 1, 1}, .strides = {2, 2}},
        Case{.x = {1, 3, 5, 5}, .w = {4, 3, 5, 5}, .pads = {3, 3, 3, 3}}));

class TransposedCases : public testing::TestWithParam<Case> {};

TEST_P(TransposedCases, EqualsTheLoop) {
  const Case& k = GetParam();
  const Tensor x = RandomTensor(k.x, 1), w = RandomTensor(k.w, 2), bias = RandomTensor({k.w[1] * k.group}, 3);
  std::vector<Tensor> inputs{x, w};
  if (k.bias) inputs.push_back(bias);
  Attributes attributes = ConvAttributes(k);
  attributes["output_padding"] = k.output_padding;
  ExpectTensor(RunOne("ConvTranspose", inputs, attributes), LoopConvTranspose(k, x, w, bias), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    Plain, TransposedCases,
    testing::Values(Case{.x = {1, 1, 1, 1}, .w = {1, 1, 2, 2}},
                    Case{.x = {1, 13, 5, 7}, .w = {13, 16, 2, 2}, .strides = {2, 2}, .bias = true},
                    Case{.x = {1, 16, 5, 7},
                         .w = {16, 13, 3, 3},
                         .strides = {2, 2},
                         .pads = {1, 1, 1, 1},
                         .output_padding = {1, 1}},
                    Case{.x = {2, 6, 4, 5},
                         .w = {6, 4, 3, 3},
                         .strides = {2, 2},
                         .pads = {1, 1, 1, 1},
                         .group = 2,
                         .bias = true,
                         .output_padding = {1, 1}},
                    Case{.x = {1, 3, 4, 5},
                         .w = {3, 4, 3, 3},
                         .strides = {3, 2},
                         .pads = {0, 0, 0, 0},
                         .output_padding = {2, 1}},
                    Case{.x = {1, 3, 4, 5},
                         .w = {3, 4, 3, 3},
                         .strides = {2, 2},
                         .pads = {2, 1, 0, 1},
                         .dilations = {2, 1}}));

TEST(Conv, ByHand) {
  const Tensor x = F({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}), ones = F({1, 1, 2, 2}, {1, 1, 1, 1});
  ExpectTensor(RunOne("Conv", {x, ones}), F({1, 1, 2, 2}, {12, 16, 24, 28}));
  // SAME keeps 3x3: one more row and column of padding, at the end (upper) or at the start (lower).
  ExpectTensor(RunOne("Conv", {x, ones}, {{"auto_pad", std::string("SAME_UPPER")}}),
               F({1, 1, 3, 3}, {12, 16, 9, 24, 28, 15, 15, 17, 9}));
  ExpectTensor(RunOne("Conv", {x, ones}, {{"auto_pad", std::string("SAME_LOWER")}}),
               F({1, 1, 3, 3}, {1, 3, 5, 5, 12, 16, 11, 24, 28}));
  ExpectTensor(RunOne("Conv", {x, ones}, {{"auto_pad", std::string("VALID")}}),
               F({1, 1, 2, 2}, {12, 16, 24, 28}));
  // One spatial dimension.
  ExpectTensor(RunOne("Conv", {F({1, 1, 4}, {1, 2, 3, 4}), F({1, 1, 2}, {1, -1})}),
               F({1, 1, 3}, {-1, -1, -1}));
}

// Size and values as ONNX Runtime 1.32 gives them; ONNX's shape inference says these sizes too.
TEST(ConvTranspose, SameWithAKernelBelowItsStrideEndsWhereTheKernelDoes) {
  struct Case {
    std::int64_t kernel, stride;
    Shape out;
    std::vector<float> values;
  };
  const Case cases[] = {{1, 2, {1, 1, 1, 3}, {1, 0, 2}},
                        {2, 3, {1, 1, 2, 5}, {1, 1, 0, 2, 2, 1, 1, 0, 2, 2}},
                        {2, 2, {1, 1, 2, 4}, {1, 1, 2, 2, 1, 1, 2, 2}}};
  for (const char* same : {"SAME_UPPER", "SAME_LOWER"}) {
    for (const Case& k : cases) {
      SCOPED_TRACE(fmt::format("{}, kernel {}, stride {}", same, k.kernel, k.stride));
      const std::vector<float> ones(k.kernel * k.kernel, 1.0f);
      Graph graph;
      graph.name = "net";
      graph.inputs.push_back({.name = "x0", .shape = {1, 1, -1, -1}});
      graph.initializers.push_back({.name = "x1", .value = F({1, 1, k.kernel, k.kernel}, ones)});
      graph.nodes.push_back(MakeNode(
          "ConvTranspose", 2, {{"auto_pad", std::string(same)}, {"strides", Ints{k.stride, k.stride}}}));
      graph.outputs.push_back({.name = "y0"});
      EXPECT_EQ(InferShapes(graph, {{"x0", {1, 1, 1, 2}}}).at("y0").shape, k.out);
      const TensorMap results = PlainExecutor(graph, {.threads = 1}).Run({{"x0", F({1, 1, 1, 2}, {1, 2})}});
      ExpectTensor(results.at("y0"), F(k.out, k.values));
    }
  }
}

TEST(Conv, RefusesWhatDoesNotFit) {
  const Tensor x = RandomTensor({1, 4, 5, 5}, 1);
  EXPECT_FRF_ERROR(RunOne("Conv", {x, RandomTensor({4, 3, 3, 3}, 2)}), ErrorCode::kInvalidArgument,
                   "do not go together");
  EXPECT_FRF_ERROR(RunOne("Conv", {x, RandomTensor({4, 4, 7, 7}, 2)}), ErrorCode::kInvalidArgument,
                   "does not fit");
  EXPECT_FRF_ERROR(RunOne("Conv", {x, RandomTensor({4, 4, 3, 3}, 2), RandomTensor({5}, 3)}),
                   ErrorCode::kInvalidArgument, "bias");
  EXPECT_FRF_ERROR(RunOne("Conv", {x, RandomTensor({4, 4, 3, 3}, 2)}, {{"strides", Ints{0, 1}}}),
                   ErrorCode::kInvalidArgument, "strides");
  EXPECT_FRF_ERROR(RunOne("Conv", {x, RandomTensor({4, 4, 3, 3}, 2)}, {{"group", std::int64_t{0}}}),
                   ErrorCode::kInvalidArgument, "group");
  EXPECT_FRF_ERROR(RunOne("Conv", {RandomTensor({1, 4, 5, 5, 5}, 1), RandomTensor({4, 4, 3, 3, 3}, 2)}),
                   ErrorCode::kUnsupported, "input");
}

TEST(MatMul, BroadcastsBatches) {
  const auto loop = [](const Tensor& a, const Tensor& b, std::int64_t m, std::int64_t k, std::int64_t n) {
    double sum = 0;  // one product of matrices that both start at 0
    for (std::int64_t i = 0; i < k; ++i)
      sum += static_cast<double>(a.data<float>()[m * k + i]) * b.data<float>()[i * b.dim(-1) + n];
    return sum;
  };
  for (const auto& [left, right, out] :
       std::vector<std::tuple<Shape, Shape, Shape>>{{{13, 127}, {127, 5}, {13, 5}},
                                                    {{127}, {127, 5}, {5}},
                                                    {{13, 127}, {127}, {13}},
                                                    {{127}, {127}, {}},
                                                    {{2, 3, 4, 7}, {7, 5}, {2, 3, 4, 5}},
                                                    {{4, 7}, {2, 3, 7, 5}, {2, 3, 4, 5}},
                                                    {{3, 4, 7}, {2, 3, 7, 5}, {2, 3, 4, 5}},
                                                    {{2, 3, 4, 7}, {3, 7, 1}, {2, 3, 4, 1}},
                                                    {{2, 1, 4, 7}, {1, 3, 7, 5}, {2, 3, 4, 5}}}) {
    const Tensor a = RandomTensor(left, 1), b = RandomTensor(right, 2);
    const Tensor y = RunOne("MatMul", {a, b});
    ASSERT_EQ(y.shape(), out) << ToString(left) << " x " << ToString(right);
    // Every output matrix against the product of the two matrices that numpy would pick.
    const Tensor a2 = a.rank() == 1 ? a.Reshaped({1, 127}) : a, b2 = b.rank() == 1 ? b.Reshaped({127, 1}) : b;
    const std::int64_t m = a2.dim(-2), k = a2.dim(-1), n = b2.dim(-1), matrices = y.size() / (m * n);
    Shape batch(out.begin(), out.begin() + std::max(0, std::max(a2.rank(), b2.rank()) - 2));
    for (std::int64_t i = 0; i < matrices; ++i) {
      const auto start = [&](const Shape& shape, std::int64_t size) {
        std::int64_t rest = i, offset = 0, stride = 1;
        for (int axis = static_cast<int>(batch.size()) - 1, own = static_cast<int>(shape.size()) - 3;
             axis >= 0; --axis, --own) {
          if (own >= 0 && shape[own] > 1) offset += rest % batch[axis] * stride;
          if (own >= 0) stride *= shape[own];
          rest /= batch[axis];
        }
        return offset * size;
      };
      Tensor am = Tensor::Uninitialized(DType::kFloat32, {m, k}),
             bm = Tensor::Uninitialized(DType::kFloat32, {k, n});
      std::copy_n(a.data<float>() + start(a2.shape(), m * k), m * k, am.data<float>());
      std::copy_n(b.data<float>() + start(b2.shape(), k * n), k * n, bm.data<float>());
      for (std::int64_t r = 0; r < m; ++r) {
        for (std::int64_t c = 0; c < n; ++c)
          ASSERT_NEAR(y.data<float>()[(i * m + r) * n + c], loop(am, bm, r, k, c), 1e-4);
      }
    }
  }
  EXPECT_FRF_ERROR(RunOne("MatMul", {RandomTensor({2, 3}, 1), RandomTensor({4, 2}, 2)}),
                   ErrorCode::kInvalidArgument, "cannot be multiplied");
  ExpectTensor(RunOne("MatMul", {I({2, 2}, {1, 2, 3, 4}), I({2, 1}, {10, 1})}), I({2, 1}, {12, 34}));
  ExpectTensor(RunOne("MatMul", {F({2, 0}, {}), F({0, 2}, {})}), F({2, 2}, {0, 0, 0, 0}));
}

TEST(Gemm, ByHand) {
  const Tensor a = F({2, 2}, {1, 2, 3, 4}), b = F({2, 2}, {5, 6, 7, 8});
  ExpectTensor(RunOne("Gemm", {a, b}), F({2, 2}, {19, 22, 43, 50}));
  ExpectTensor(RunOne("Gemm", {a, b, F({2}, {1, 10})}, {{"alpha", 2.0f}, {"beta", 0.5f}}),
               F({2, 2}, {38.5f, 49, 86.5f, 105}));
  ExpectTensor(RunOne("Gemm", {a, b}, {{"transA", std::int64_t{1}}}), F({2, 2}, {26, 30, 38, 44}));
  ExpectTensor(RunOne("Gemm", {a, b, F({}, {1})}, {{"transB", std::int64_t{1}}}),
               F({2, 2}, {18, 24, 40, 54}));
}

TEST(OneDnn, NeverFallsToTheReferenceImplementation) {
  for (const std::int64_t groups : {1, 16}) {
    for (const std::int64_t kernel : {1, 3}) {
      dnn::ConvGeometry g{.in_channels = 48,
                          .in_height = 20,
                          .in_width = 24,
                          .out_channels = 48,
                          .out_height = 20,
                          .out_width = 24};
      g.groups = groups, g.kernel_height = g.kernel_width = kernel;
      g.pad_top = g.pad_left = g.pad_bottom = g.pad_right = kernel / 2;
      EXPECT_FALSE(dnn::Convolution(g).implementation().starts_with("ref"))
          << groups << " groups, kernel " << kernel;
    }
  }
  for (const bool shared : {false, true}) {
    dnn::MatMulGeometry g{.batch = 12, .m = 7, .n = 9, .k = 33, .a_shared = shared};
    EXPECT_FALSE(dnn::MatrixProduct(g).implementation().starts_with("ref")) << "shared " << shared;
  }
}

}  // namespace
}  // namespace frf::test
