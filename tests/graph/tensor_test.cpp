// SPDX-License-Identifier: Apache-2.0
// Tensors: storage, shapes that overflow, conversions at their edges.
#include "graph/tensor.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "support/support.h"

namespace frf {
namespace {

TEST(Tensor, StorageIsAlignedSharedAndCloned) {
  Tensor a = Tensor::Of<float>({1, 13}, std::vector<float>(13, 2.0f));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.raw()) % 64, 0u);
  EXPECT_EQ(a.bytes(), 52u);
  Tensor shared = a, own = a.Clone();
  a.data<float>()[12] = 5.0f;
  EXPECT_EQ(shared.data<float>()[12], 5.0f);
  EXPECT_EQ(own.data<float>()[12], 2.0f);
  EXPECT_EQ(a.Reshaped({13, 1}).data<float>()[12], 5.0f);
  EXPECT_EQ(a.dim(-1), 13);
}

TEST(Tensor, DescribedHasNoData) {
  const Tensor t = Tensor::Described(DType::kInt64, {2, 3});
  EXPECT_FALSE(t.has_data());
  EXPECT_EQ(t.size(), 6);
  EXPECT_FRF_ERROR(t.data<std::int64_t>(), ErrorCode::kInternal, "no data");
  EXPECT_FRF_ERROR(t.data<float>(), ErrorCode::kInternal, "int64 tensor was read as float32");
}

TEST(Tensor, EmptyAndScalar) {
  EXPECT_EQ(NumElements({}), 1);
  EXPECT_EQ(NumElements({3, 0, 5}), 0);
  EXPECT_EQ(ToString({}), "scalar");
  EXPECT_EQ(ToString({1, 3, -1, -1}), "1x3x?x?");
  const Tensor empty = Tensor::Zeros(DType::kFloat32, {0});
  EXPECT_TRUE(empty.has_data());
  EXPECT_TRUE(empty.ToVector<float>().empty());
}

TEST(Tensor, OverflowIsRefused) {
  EXPECT_FRF_ERROR(NumElements({1LL << 32, 1LL << 32}), ErrorCode::kInvalidArgument, "2^63");
  EXPECT_FRF_ERROR(NumElements({2, -1}), ErrorCode::kInvalidArgument, "2x?");
  EXPECT_FRF_ERROR(Tensor::Zeros(DType::kFloat64, {1LL << 61}), ErrorCode::kOutOfMemory, "memory");
  EXPECT_FRF_ERROR(NumElements({0, 1LL << 62, 1LL << 62}), ErrorCode::kInvalidArgument, "2^63");
}

TEST(Tensor, CountsMustMatch) {
  EXPECT_FRF_ERROR(Tensor::Of<float>({2, 2}, {1, 2, 3}), ErrorCode::kInvalidArgument,
                   "3 values were given for a tensor of 2x2");
  EXPECT_FRF_ERROR(Tensor::Zeros(DType::kFloat32, {4}).Reshaped({3}), ErrorCode::kInvalidArgument,
                   "cannot be reshaped");
}

TEST(Tensor, CastsAtTheEdges) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const Tensor t = Tensor::Of<float>({8}, {-1.9f, 1.9f, 300.0f, -300.0f, inf, -inf, nan, 3e9f});
  EXPECT_EQ(t.ToVector<std::uint8_t>(), (std::vector<std::uint8_t>{0, 1, 255, 0, 255, 0, 0, 255}));
  EXPECT_EQ(t.ToVector<std::int32_t>(),
            (std::vector<std::int32_t>{-1, 1, 300, -300, INT32_MAX, INT32_MIN, 0, INT32_MAX}));
  EXPECT_EQ(t.ToVector<bool>()[0], true);
  EXPECT_EQ(Tensor::Of<double>({1}, {1e300}).ToVector<std::int64_t>()[0], INT64_MAX);
  EXPECT_EQ(Tensor::Of<std::int64_t>({2}, {INT64_MAX, -1}).ToVector<std::int64_t>()[0], INT64_MAX);
  EXPECT_EQ(Tensor::Of<std::int64_t>({1}, {-1}).ToVector<std::uint8_t>()[0], 255) << "integers wrap";
}

TEST(Tensor, HalfRoundsToNearestEven) {
  // 1 + 2^-11 lies between two halves, 1 + 3 * 2^-11 too: the even one wins.
  const Tensor t = Tensor::Of<float>({4}, {1.0f + 0x1p-11f, 1.0f + 3 * 0x1p-11f, 65520.0f, 0x1p-24f});
  const Tensor half = t.Cast(DType::kFloat16);
  EXPECT_EQ(half.bytes(), 8u);
  EXPECT_EQ(half.ToVector<float>(),
            (std::vector<float>{1.0f, 1.0f + 0x1p-9f, std::numeric_limits<float>::infinity(), 0x1p-24f}));
}

TEST(Tensor, NamesGoBothWays) {
  for (const DType type : {DType::kFloat32, DType::kFloat16, DType::kFloat64, DType::kUint8, DType::kInt8,
                           DType::kInt32, DType::kInt64, DType::kBool}) {
    EXPECT_EQ(DTypeFromName(Name(type)), type);
  }
  EXPECT_FRF_ERROR(DTypeFromName("float"), ErrorCode::kInvalidArgument, "'float'");
}

}  // namespace
}  // namespace frf
