// SPDX-License-Identifier: Apache-2.0
// Operators that move data or make shapes, by hand, with hostile indices and shapes refused.
#include <limits>

#include "engine/helpers.h"

namespace frf::test {
namespace {

const Tensor kSix = F({2, 3}, {1, 2, 3, 4, 5, 6});

TEST(Move, TransposeConcatSplit) {
  ExpectTensor(RunOne("Transpose", {kSix}), F({3, 2}, {1, 4, 2, 5, 3, 6}));
  ExpectTensor(RunOne("Transpose", {F({1, 2, 1, 2}, {1, 2, 3, 4})}, {{"perm", Ints{0, 2, 3, 1}}}),
               F({1, 1, 2, 2}, {1, 3, 2, 4}));
  EXPECT_FRF_ERROR(RunOne("Transpose", {kSix}, {{"perm", Ints{0, 0}}}), ErrorCode::kInvalidArgument,
                   "permutation");
  ExpectTensor(RunOne("Concat", {kSix, F({2, 1}, {7, 8})}, {{"axis", std::int64_t{-1}}}),
               F({2, 4}, {1, 2, 3, 7, 4, 5, 6, 8}));
  EXPECT_FRF_ERROR(RunOne("Concat", {kSix, F({3, 1}, {7, 8, 9})}, {{"axis", std::int64_t{1}}}),
                   ErrorCode::kInvalidArgument, "input 1 is");
  const std::vector<Tensor> parts = RunAll("Split", {kSix, List({1, 2})}, {{"axis", std::int64_t{1}}}, 2);
  ExpectTensor(parts[0], F({2, 1}, {1, 4}));
  ExpectTensor(parts[1], F({2, 2}, {2, 3, 5, 6}));
  const std::vector<Tensor> uneven =
      RunAll("Split", {kSix}, {{"axis", std::int64_t{1}}, {"num_outputs", std::int64_t{2}}}, 2, 18);
  ExpectTensor(uneven[1], F({2, 1}, {3, 6}));
  EXPECT_FRF_ERROR(RunAll("Split", {kSix, List({1, 1})}, {{"axis", std::int64_t{1}}}, 2),
                   ErrorCode::kInvalidArgument, "parts");
}

// Permutations of larger tensors against index arithmetic.
TEST(Move, EveryPermutationEqualsTheLoop) {
  const Tensor x = RandomTensor({2, 13, 5, 127}, 3);
  Ints p{0, 1, 2, 3};
  const Ints strides{13 * 5 * 127, 5 * 127, 127, 1};
  do {
    const Tensor y = RunOne("Transpose", {x}, {{"perm", p}});
    for (std::int64_t i = 0; i < y.size(); i += 7) {
      std::int64_t rest = i, offset = 0;
      for (int axis = 3; axis >= 0; --axis) {
        offset += rest % y.dim(axis) * strides[p[axis]];
        rest /= y.dim(axis);
      }
      ASSERT_EQ(y.data<float>()[i], x.data<float>()[offset]);
    }
  } while (std::next_permutation(p.begin(), p.end()));
}

TEST(Move, Slice) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max(),
                         kMin = std::numeric_limits<std::int64_t>::min();
  const Tensor x = F({6}, {0, 1, 2, 3, 4, 5});
  const auto slice = [&](std::int64_t start, std::int64_t end, std::int64_t step) {
    return RunOne("Slice", {x, List({start}), List({end}), List({0}), List({step})});
  };
  ExpectTensor(slice(1, 4, 1), F({3}, {1, 2, 3}));
  ExpectTensor(slice(-2, kMax, 1), F({2}, {4, 5}));
  ExpectTensor(slice(0, 6, 4), F({2}, {0, 4}));
  ExpectTensor(slice(kMax, kMin, -1), F({6}, {5, 4, 3, 2, 1, 0}));
  ExpectTensor(slice(4, 1, -2), F({2}, {4, 2}));
  ExpectTensor(slice(4, 1, 1), F({0}, {}));
  ExpectTensor(slice(0, kMax, kMax), F({1}, {0}));
  ExpectTensor(slice(5, kMin, kMin), F({1}, {5}));
  EXPECT_FRF_ERROR(slice(0, 1, 0), ErrorCode::kInvalidArgument, "step of 0");
}

TEST(Move, PadTileExpand) {
  const Tensor row = F({1, 3}, {1, 2, 3});
  const auto pad = [&](const char* mode, const Ints& pads) {
    return RunOne("Pad", {row, List(pads)}, {{"mode", std::string(mode)}});
  };
  ExpectTensor(pad("constant", {0, 1, 1, 0}), F({2, 4}, {0, 1, 2, 3, 0, 0, 0, 0}));
  ExpectTensor(pad("reflect", {0, 2, 0, 2}), F({1, 7}, {3, 2, 1, 2, 3, 2, 1}));
  ExpectTensor(pad("edge", {0, 2, 0, 1}), F({1, 6}, {1, 1, 1, 2, 3, 3}));
  ExpectTensor(pad("constant", {0, -1, 0, 1}), F({1, 3}, {2, 3, 0}));  // a negative pad crops
  ExpectTensor(RunOne("Pad", {row, List({1, 0}), F({}, {9}), List({1})}, {}, 18), F({1, 4}, {9, 1, 2, 3}));
  EXPECT_FRF_ERROR(pad("constant", {0, -4, 0, 0}), ErrorCode::kInvalidArgument, "out of range");
  EXPECT_FRF_ERROR(pad("constant", {0, std::int64_t{1} << 60, 0, 0}), ErrorCode::kInvalidArgument,
                   "out of range");
  ExpectTensor(RunOne("Tile", {row, List({2, 2})}), F({2, 6}, {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}));
  ExpectTensor(RunOne("Expand", {F({2, 1}, {1, 2}), List({2, 1, 3})}),
               F({2, 2, 3}, {1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2}));
  EXPECT_FRF_ERROR(RunOne("Expand", {row, List({2, 2})}), ErrorCode::kInvalidArgument, "do not broadcast");
}

TEST(Move, GatherAndScatter) {
  ExpectTensor(RunOne("Gather", {kSix, List({2, -3})}, {{"axis", std::int64_t{1}}}), F({2, 2}, {3, 1, 6, 4}));
  ExpectTensor(RunOne("Gather", {kSix, I({}, {1})}), F({3}, {4, 5, 6}));
  EXPECT_FRF_ERROR(RunOne("Gather", {kSix, List({3})}, {{"axis", std::int64_t{1}}}),
                   ErrorCode::kInvalidArgument, "index 3");
  ExpectTensor(RunOne("GatherElements", {kSix, I({2, 1}, {2, 0})}, {{"axis", std::int64_t{1}}}),
               F({2, 1}, {3, 4}));
  ExpectTensor(RunOne("GatherND", {kSix, I({2, 2}, {0, 1, 1, -1})}), F({2}, {2, 6}));
  EXPECT_FRF_ERROR(RunOne("GatherND", {kSix, I({1, 2}, {0, 3})}), ErrorCode::kInvalidArgument, "index 3");
  ExpectTensor(RunOne("ScatterElements", {kSix, I({1, 2}, {1, 0}), F({1, 2}, {8, 9})}),
               F({2, 3}, {1, 9, 3, 8, 5, 6}));
  ExpectTensor(
      RunOne("ScatterND", {kSix, I({1, 1}, {1}), F({1, 3}, {7, 8, 9})}, {{"reduction", std::string("add")}}),
      F({2, 3}, {1, 2, 3, 11, 13, 15}));
}

TEST(Move, DepthToSpaceIsInvertedBySpaceToDepth) {
  const Tensor x = F({1, 4, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor dcr = RunOne("DepthToSpace", {x}, {{"blocksize", std::int64_t{2}}});
  ExpectTensor(dcr, F({1, 1, 2, 4}, {1, 3, 2, 4, 5, 7, 6, 8}));
  ExpectTensor(RunOne("SpaceToDepth", {dcr}, {{"blocksize", std::int64_t{2}}}), x);
  const Tensor two = F({1, 8, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8});
  ExpectTensor(RunOne("DepthToSpace", {two}, {{"blocksize", std::int64_t{2}}, {"mode", std::string("CRD")}}),
               F({1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  ExpectTensor(RunOne("DepthToSpace", {two}, {{"blocksize", std::int64_t{2}}}),
               F({1, 2, 2, 2}, {1, 3, 5, 7, 2, 4, 6, 8}));
  EXPECT_FRF_ERROR(RunOne("DepthToSpace", {kSix.Reshaped({1, 6, 1, 1})}, {{"blocksize", std::int64_t{2}}}),
                   ErrorCode::kInvalidArgument, "blocksize");
}

TEST(Shapes, ReshapeSqueezeFlatten) {
  EXPECT_EQ(RunOne("Reshape", {kSix, List({0, -1, 1})}).shape(), (Shape{2, 3, 1}));
  EXPECT_EQ(RunOne("Reshape", {F({0, 3}, {}), List({3, 0})}, {{"allowzero", std::int64_t{1}}}).shape(),
            (Shape{3, 0}));
  EXPECT_FRF_ERROR(RunOne("Reshape", {kSix, List({4, -1})}), ErrorCode::kInvalidArgument, "does not reshape");
  EXPECT_FRF_ERROR(RunOne("Reshape", {kSix, List({-1, -1})}), ErrorCode::kInvalidArgument, "impossible");
  EXPECT_EQ(RunOne("Squeeze", {F({1, 2, 1}, {1, 2})}).shape(), (Shape{2}));
  EXPECT_EQ(RunOne("Squeeze", {F({1, 2, 1}, {1, 2}), List({-1})}).shape(), (Shape{1, 2}));
  EXPECT_EQ(RunOne("Squeeze", {F({1, 2, 1}, {1, 2})}, {{"axes", Ints{0}}}, 11).shape(), (Shape{2, 1}));
  EXPECT_FRF_ERROR(RunOne("Squeeze", {kSix, List({0})}), ErrorCode::kInvalidArgument, "is not 1");
  EXPECT_EQ(RunOne("Unsqueeze", {kSix, List({0, -1})}).shape(), (Shape{1, 2, 3, 1}));
  EXPECT_EQ(RunOne("Flatten", {F({2, 1, 3}, {1, 2, 3, 4, 5, 6})}, {{"axis", std::int64_t{3}}}).shape(),
            (Shape{6, 1}));
  ExpectTensor(RunOne("Shape", {kSix}, {{"start", std::int64_t{-1}}}), List({3}));
  ExpectTensor(RunOne("Size", {kSix}), I({}, {6}));
}

TEST(Shapes, ConstantsAndCasts) {
  ExpectTensor(RunOne("Constant", {}, {{"value_ints", Ints{1, 2}}}), List({1, 2}));
  ExpectTensor(RunOne("Constant", {}, {{"value", F({1}, {3})}}), F({1}, {3}));
  EXPECT_FRF_ERROR(RunOne("Constant", {}, {{"value_string", std::string("a")}}), ErrorCode::kUnsupported,
                   "as value");
  ExpectTensor(RunOne("ConstantOfShape", {List({2})}, {{"value", I({1}, {7})}}), List({7, 7}));
  EXPECT_FRF_ERROR(RunOne("ConstantOfShape", {List({-2})}), ErrorCode::kInvalidArgument, "negative");
  ExpectTensor(RunOne("Range", {I({}, {5}), I({}, {0}), I({}, {-2})}), List({5, 3, 1}));
  EXPECT_FRF_ERROR(RunOne("Range", {I({}, {5}), I({}, {0}), I({}, {0})}), ErrorCode::kInvalidArgument,
                   "by 0");
  ExpectTensor(RunOne("Cast", {F({3}, {-1.9f, 1.9f, 0})}, {{"to", std::int64_t{7}}}), List({-1, 1, 0}));
  ExpectTensor(RunOne("Cast", {F({3}, {-1.9f, 1.9f, 0})}, {{"to", std::int64_t{9}}}),
               Tensor::Of<bool>({3}, {true, true, false}));
  EXPECT_FRF_ERROR(RunOne("Cast", {kSix}, {{"to", std::int64_t{8}}}), ErrorCode::kUnsupported, "type 8");
  EXPECT_FRF_ERROR(RunOne("NoSuchOperator", {kSix}), ErrorCode::kUnsupported, "NoSuchOperator");
}

}  // namespace
}  // namespace frf::test
