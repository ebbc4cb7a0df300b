// SPDX-License-Identifier: Apache-2.0
// Pools: padding, ceil mode as torch has it, indices, unpooling, reductions. The expected numbers of the
// ceil-mode cases were worked out from torch's rule: the last window must start inside the input or its
// leading padding.
#include "engine/helpers.h"

namespace frf::test {
namespace {

Attributes Pool(Ints kernel, Ints strides, Ints pads, std::int64_t ceil = 0) {
  return {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}, {"ceil_mode", ceil}};
}

Attributes With(Attributes attributes, const std::string& key, std::int64_t value) {
  attributes[key] = value;
  return attributes;
}

TEST(MaxPool, ByHand) {
  const Tensor x = F({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  ExpectTensor(RunOne("MaxPool", {x}, Pool({2, 2}, {1, 1}, {0, 0, 0, 0})), F({1, 1, 2, 2}, {5, 6, 8, 9}));
  ExpectTensor(RunOne("MaxPool", {x}, Pool({3, 3}, {2, 2}, {1, 1, 1, 1})), F({1, 1, 2, 2}, {5, 6, 8, 9}));
  // Padding never wins, not even over negative numbers.
  ExpectTensor(RunOne("MaxPool", {F({1, 1, 1, 1}, {-7})}, Pool({3, 3}, {2, 2}, {1, 1, 1, 1})),
               F({1, 1, 1, 1}, {-7}));
  ExpectTensor(RunOne("MaxPool", {Tensor::Of<std::uint8_t>({1, 1, 1, 2}, {3, 200})},
                      Pool({1, 2}, {1, 1}, {0, 0, 0, 0})),
               Tensor::Of<std::uint8_t>({1, 1, 1, 1}, {200}));
  EXPECT_FRF_ERROR(RunOne("MaxPool", {x}, Pool({4, 4}, {1, 1}, {0, 0, 0, 0})), ErrorCode::kInvalidArgument,
                   "does not fit");
  EXPECT_FRF_ERROR(RunOne("MaxPool", {x}), ErrorCode::kInvalidArgument, "kernel_shape");
}

TEST(MaxPool, CeilModeDropsAWindowThatStartsInThePadding) {
  // 5 wide, kernel 2, stride 2: floor 2, ceil 3 (the third window holds the last column).
  const Tensor x = F({1, 1, 1, 5}, {1, 2, 3, 4, 5});
  ExpectTensor(RunOne("MaxPool", {x}, Pool({1, 2}, {1, 2}, {0, 0, 0, 0}, 0)), F({1, 1, 1, 2}, {2, 4}));
  ExpectTensor(RunOne("MaxPool", {x}, Pool({1, 2}, {1, 2}, {0, 0, 0, 0}, 1)), F({1, 1, 1, 3}, {2, 4, 5}));
  // 2 wide, pads 1 and 1, kernel 2, stride 3: ceil says 2 windows, the second would start at column 2 =
  // behind the input.
  ExpectTensor(RunOne("MaxPool", {F({1, 1, 1, 2}, {1, 2})}, Pool({1, 2}, {1, 3}, {0, 1, 0, 1}, 1)),
               F({1, 1, 1, 1}, {1}));
}

// As in ONNX Runtime and torch: the one window begins inside.
TEST(Pools, CeilModeTakesAWindowLargerThanTheMap) {
  const Tensor x = F({1, 1, 2, 2}, {0, 1, 2, 3});
  const Attributes pool = Pool({3, 3}, {2, 2}, {0, 0, 0, 0}, 1);
  ExpectTensor(RunOne("MaxPool", {x}, pool), F({1, 1, 1, 1}, {3}));
  ExpectTensor(RunOne("AveragePool", {x}, pool), F({1, 1, 1, 1}, {1.5f}));
  EXPECT_FRF_ERROR(RunOne("MaxPool", {x}, Pool({4, 4}, {2, 2}, {0, 0, 0, 0}, 1)), ErrorCode::kInvalidArgument,
                   "does not fit");
}

// Rows and strides of many kinds against a loop over windows; the values-only path and the one with indices
// must agree.
TEST(MaxPool, BothPathsEqualTheLoop) {
  for (const std::int64_t width : {5, 13, 127}) {
    for (const std::int64_t stride : {1, 2, 3}) {
      for (const std::int64_t dilation : {1, 2}) {
        const Tensor x = RandomTensor({2, 3, 7, width}, 5);
        Attributes attributes = Pool({3, 3}, {stride, stride}, {1, 1, 1, 1});
        attributes["dilations"] = Ints{dilation, dilation};
        const Tensor y = RunOne("MaxPool", {x}, attributes);
        const std::vector<Tensor> both = RunAll("MaxPool", {x}, attributes, 2);
        ExpectTensor(both[0], y);
        const std::int64_t* at = both[1].data<std::int64_t>();
        for (std::int64_t i = 0; i < y.size(); ++i) {
          float best = -10;
          const std::int64_t plane = i / (y.dim(2) * y.dim(3)), r = i / y.dim(3) % y.dim(2), c = i % y.dim(3);
          for (std::int64_t p = 0; p < 3; ++p) {
            for (std::int64_t q = 0; q < 3; ++q) {
              const std::int64_t row = r * stride - 1 + p * dilation, column = c * stride - 1 + q * dilation;
              if (row < 0 || row >= 7 || column < 0 || column >= width) continue;
              best = std::max(best, x.data<float>()[(plane * 7 + row) * width + column]);
            }
          }
          ASSERT_EQ(y.data<float>()[i], best);
          ASSERT_EQ(x.data<float>()[at[i]], best) << "index " << at[i] << " of " << i;
        }
      }
    }
  }
}

TEST(MaxPool, IndicesAreFlatAndTheFirstWins) {
  const Tensor x = F({1, 2, 2, 2}, {5, 5, 5, 5, 1, 2, 4, 3});
  const std::vector<Tensor> y = RunAll("MaxPool", {x}, Pool({2, 2}, {2, 2}, {0, 0, 0, 0}), 2);
  ExpectTensor(y[1], I({1, 2, 1, 1}, {0, 6}));
  ExpectTensor(RunAll("MaxPool", {x}, With(Pool({2, 2}, {2, 2}, {0, 0, 0, 0}), "storage_order", 1), 2)[1],
               I({1, 2, 1, 1}, {0, 5}));
}

TEST(Unpool, RestoresThePooledSize) {
  const Tensor x = F({1, 2, 3, 3}, {1, 2, 3, 4, 9, 6, 7, 8, 5, 9, 1, 1, 1, 1, 1, 1, 1, 8});
  const std::vector<Tensor> pooled = RunAll("MaxPool", {x}, Pool({2, 2}, {2, 2}, {0, 0, 0, 0}), 2);
  const Tensor wanted = F({1, 2, 3, 3}, {0, 0, 0, 0, 9, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0});
  ExpectTensor(RunOne("frf.Unpool", {pooled[0], pooled[1], x}), wanted);
  ExpectTensor(
      RunOne("MaxUnpool", {pooled[0], pooled[1], List({1, 2, 3, 3})}, Pool({2, 2}, {2, 2}, {0, 0, 0, 0})),
      wanted);
  // Indices within one plane: int32.
  ExpectTensor(RunOne("frf.Unpool", {pooled[0], Tensor::Of<std::int32_t>({1, 2, 1, 1}, {4, 0}), x}), wanted);
  EXPECT_FRF_ERROR(RunOne("frf.Unpool", {pooled[0], Tensor::Of<std::int32_t>({1, 2, 1, 1}, {4, 9}), x}),
                   ErrorCode::kInvalidArgument, "outside");
  EXPECT_FRF_ERROR(RunOne("MaxUnpool", {pooled[0], I({1, 2, 1, 1}, {4, 18}), List({1, 2, 3, 3})},
                          Pool({2, 2}, {2, 2}, {0, 0, 0, 0})),
                   ErrorCode::kInvalidArgument, "outside");
}

TEST(AveragePool, CountsPaddingOnlyWhenAsked) {
  const Tensor x = F({1, 1, 2, 2}, {1, 2, 3, 4});
  const Attributes pool = Pool({2, 2}, {2, 2}, {1, 1, 1, 1});  // four windows with one pixel each
  ExpectTensor(RunOne("AveragePool", {x}, pool), F({1, 1, 2, 2}, {1, 2, 3, 4}));
  ExpectTensor(RunOne("AveragePool", {x}, With(pool, "count_include_pad", 1)),
               F({1, 1, 2, 2}, {0.25f, 0.5f, 0.75f, 1}));
  // Ceil mode: the last window reaches one column beyond the padding, which never counts. Columns 1 2 3 4 |
  // pad 0.
  const Tensor row = F({1, 1, 1, 4}, {1, 2, 3, 4});
  const Attributes ceil = Pool({1, 3}, {1, 3}, {0, 0, 0, 1}, 1);
  ExpectTensor(RunOne("AveragePool", {row}, ceil), F({1, 1, 1, 2}, {2, 4}));
  ExpectTensor(RunOne("AveragePool", {row}, With(ceil, "count_include_pad", 1)), F({1, 1, 1, 2}, {2, 2}));
}

TEST(GlobalPool, ByHand) {
  const Tensor x = F({1, 2, 2, 2}, {1, 2, 3, 4, -1, -2, -3, -4});
  ExpectTensor(RunOne("GlobalAveragePool", {x}), F({1, 2, 1, 1}, {2.5f, -2.5f}));
  ExpectTensor(RunOne("GlobalMaxPool", {x}), F({1, 2, 1, 1}, {4, -1}));
}

TEST(Reduce, AxesAsAttributeOrInput) {
  const Tensor x = F({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  ExpectTensor(RunOne("ReduceMean", {x}, {{"axes", Ints{1}}}), F({2, 1, 2}, {2, 3, 6, 7}));
  ExpectTensor(RunOne("ReduceMean", {x, List({1})}, {}, 18), F({2, 1, 2}, {2, 3, 6, 7}));
  ExpectTensor(RunOne("ReduceSum", {x, List({0, 2})}, {{"keepdims", std::int64_t{0}}}),
               F({2}, {14, 22}));  // axes apart
  ExpectTensor(RunOne("ReduceMax", {x}), F({1, 1, 1}, {8}));
  ExpectTensor(RunOne("ReduceMin", {x}, {{"axes", Ints{-1}}, {"keepdims", std::int64_t{0}}}),
               F({2, 2}, {1, 3, 5, 7}));
  ExpectTensor(RunOne("ReduceProd", {x}, {{"axes", Ints{2}}}), F({2, 2, 1}, {2, 12, 30, 56}));
  ExpectTensor(RunOne("ReduceL2", {F({1, 2}, {3, 4})}, {{"axes", Ints{1}}}), F({1, 1}, {5}));
  ExpectTensor(RunOne("ReduceSum", {x, List({})}, {{"noop_with_empty_axes", std::int64_t{1}}}), x);
  ExpectTensor(RunOne("ReduceSum", {I({3}, {1, 2, 3})}), I({1}, {6}));
  EXPECT_FRF_ERROR(RunOne("ReduceSum", {x, List({3})}), ErrorCode::kInvalidArgument, "out of range");
  EXPECT_FRF_ERROR(RunOne("ReduceSum", {x, List({1, -2})}), ErrorCode::kInvalidArgument, "twice");
}

TEST(ArgMax, LowestIndexWinsTies) {
  const Tensor x = F({1, 3, 1, 2}, {1, 5, 3, 5, 3, 0});
  ExpectTensor(RunOne("ArgMax", {x}, {{"axis", std::int64_t{1}}}), I({1, 1, 1, 2}, {1, 0}));
  ExpectTensor(
      RunOne(
          "ArgMax", {x},
          {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}, {"select_last_index", std::int64_t{1}}}),
      I({1, 1, 2}, {2, 1}));
  ExpectTensor(RunOne("ArgMin", {x}, {{"axis", std::int64_t{1}}}), I({1, 1, 1, 2}, {0, 2}));
  ExpectTensor(RunOne("CumSum", {F({1, 3}, {1, 2, 3}), I({}, {1})}), F({1, 3}, {1, 3, 6}));
}

}  // namespace
}  // namespace frf::test
