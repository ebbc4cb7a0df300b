// SPDX-License-Identifier: Apache-2.0
// Resize and ResizeLike: coordinates, rounding and weights worked out by hand; the fast bilinear path against
// one axis at a time; the same sizes through `sizes` and through ResizeLike to the bit.
#include "engine/helpers.h"

namespace frf::test {
namespace {

Tensor ToSizes(const Tensor& x, const Ints& sizes, Attributes attributes) {
  return RunOne("Resize", {x, None(), None(), List(sizes)}, std::move(attributes));
}
Tensor ByScales(const Tensor& x, const std::vector<float>& scales, Attributes attributes) {
  return RunOne("Resize", {x, None(), F({static_cast<std::int64_t>(scales.size())}, scales)},
                std::move(attributes));
}
Attributes Mode(const std::string& mode, const std::string& coordinates,
                const std::string& nearest = "round_prefer_floor") {
  return {{"mode", mode}, {"coordinate_transformation_mode", coordinates}, {"nearest_mode", nearest}};
}

TEST(Resize, LinearCoordinates) {
  const Tensor x = F({1, 1, 1, 2}, {0, 4});
  // 2 -> 4: centres at -0.25, 0.25, 0.75, 1.25; the outer ones are clamped.
  ExpectTensor(ToSizes(x, {1, 1, 1, 4}, Mode("linear", "half_pixel")), F({1, 1, 1, 4}, {0, 1, 3, 4}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 5}, Mode("linear", "align_corners")), F({1, 1, 1, 5}, {0, 1, 2, 3, 4}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 4}, Mode("linear", "asymmetric")), F({1, 1, 1, 4}, {0, 2, 4, 4}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 1}, Mode("linear", "half_pixel")), F({1, 1, 1, 1}, {2}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 1}, Mode("linear", "pytorch_half_pixel")), F({1, 1, 1, 1}, {0}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 1}, Mode("linear", "align_corners")), F({1, 1, 1, 1}, {0}));
}

TEST(Resize, NearestRounding) {
  const Tensor x = F({1, 1, 1, 4}, {0, 1, 2, 3});
  // 4 -> 2 half_pixel: centres 0.5 and 2.5.
  ExpectTensor(ToSizes(x, {1, 1, 1, 2}, Mode("nearest", "half_pixel", "round_prefer_floor")),
               F({1, 1, 1, 2}, {0, 2}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 2}, Mode("nearest", "half_pixel", "round_prefer_ceil")),
               F({1, 1, 1, 2}, {1, 3}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 3}, Mode("nearest", "asymmetric", "floor")), F({1, 1, 1, 3}, {0, 1, 2}));
  ExpectTensor(ToSizes(x, {1, 1, 1, 3}, Mode("nearest", "asymmetric", "ceil")), F({1, 1, 1, 3}, {0, 2, 3}));
  // 3 -> 9 asymmetric floor: every index thrice, without a slip at the thirds.
  ExpectTensor(ToSizes(F({1, 1, 1, 3}, {7, 8, 9}), {1, 1, 1, 9}, Mode("nearest", "asymmetric", "floor")),
               F({1, 1, 1, 9}, {7, 7, 7, 8, 8, 8, 9, 9, 9}));
  // Any element type.
  ExpectTensor(
      ToSizes(Tensor::Of<std::uint8_t>({1, 1, 1, 2}, {3, 200}), {1, 1, 1, 4}, Mode("nearest", "half_pixel")),
      Tensor::Of<std::uint8_t>({1, 1, 1, 4}, {3, 3, 200, 200}));
}

TEST(Resize, GivenScalesDecideTheCoordinates) {
  // 4 * 0.6 = 2.4 -> 2 elements; coordinates use 0.6, not 2/4: 0.5/0.6 - 0.5 = 1/3 and 1.5/0.6 - 0.5 = 2.
  ExpectTensor(ByScales(F({1, 1, 1, 4}, {0, 1, 2, 3}), {1, 1, 1, 0.6f}, Mode("linear", "half_pixel")),
               F({1, 1, 1, 2}, {1.0f / 3, 2}), 1e-6);
  EXPECT_FRF_ERROR(ByScales(F({1, 1, 1, 4}, {0, 1, 2, 3}), {1, 1, 1, -1}, Mode("linear", "half_pixel")),
                   ErrorCode::kInvalidArgument, "scale");
  EXPECT_FRF_ERROR(ByScales(F({1, 1, 1, 4}, {0, 1, 2, 3}), {1, 1}, Mode("linear", "half_pixel")),
                   ErrorCode::kInvalidArgument, "2 scales");
  EXPECT_FRF_ERROR(RunOne("Resize", {F({1}, {1})}), ErrorCode::kInvalidArgument, "either scales or sizes");
}

TEST(Resize, CubicReproducesALine) {
  // Away from the edges a = -0.75 is not exact, but weights sum to one: a constant stays a constant.
  const Tensor y = ToSizes(F({1, 1, 1, 5}, {3, 3, 3, 3, 3}), {1, 1, 1, 13}, Mode("cubic", "half_pixel"));
  ExpectTensor(y, F({1, 1, 1, 13}, std::vector<float>(13, 3)), 1e-6);
  // 4 -> 8 at x = 1.25 with a = -0.75: weights (-0.10546875, 0.87890625, 0.26171875, -0.03515625) on 0, 1,
  // 2, 3.
  const Tensor z = ToSizes(F({1, 1, 1, 4}, {0, 1, 2, 3}), {1, 1, 1, 8}, Mode("cubic", "half_pixel"));
  EXPECT_NEAR(z.data<float>()[3], 0.87890625 + 2 * 0.26171875 - 3 * 0.03515625, 1e-6);
}

TEST(Resize, AntialiasAverages) {
  // 4 -> 2 with the triangle twice as wide: output 0 is centred at 0.5, weights 0.75, 0.75, 0.25 on 0, 1, 2
  // (sum 1.75).
  Attributes attributes = Mode("linear", "half_pixel");
  attributes["antialias"] = std::int64_t{1};
  const Tensor y = RunOne("Resize", {F({1, 1, 1, 4}, {7, 14, 21, 28}), None(), None(), List({1, 1, 1, 2})},
                          attributes, 18);
  EXPECT_NEAR(y.data<float>()[0], (1.0 * 7 + 0.75 * 14 + 0.25 * 21) / 2, 1e-5);
  attributes["exclude_outside"] = std::int64_t{1};
  const Tensor z = RunOne("Resize", {F({1, 1, 1, 4}, {7, 14, 21, 28}), None(), None(), List({1, 1, 1, 2})},
                          attributes, 18);
  EXPECT_NEAR(z.data<float>()[0], (0.75 * 7 + 0.75 * 14 + 0.25 * 21) / 1.75, 1e-5);
}

TEST(Resize, AxesAndAspectPolicy) {
  Attributes attributes = Mode("nearest", "asymmetric", "floor");
  attributes["axes"] = Ints{3, 2};
  ExpectTensor(RunOne("Resize", {F({1, 1, 1, 2}, {1, 2}), None(), None(), List({4, 2})}, attributes, 18),
               F({1, 1, 2, 4}, {1, 1, 2, 2, 1, 1, 2, 2}));
  attributes["axes"] = Ints{2, 3};
  attributes["keep_aspect_ratio_policy"] = std::string("not_larger");
  EXPECT_EQ(
      RunOne("Resize", {RandomTensor({1, 1, 4, 8}, 1), None(), None(), List({8, 8})}, attributes, 18).shape(),
      (Shape{1, 1, 4, 8}));
  attributes["keep_aspect_ratio_policy"] = std::string("not_smaller");
  EXPECT_EQ(
      RunOne("Resize", {RandomTensor({1, 1, 4, 8}, 1), None(), None(), List({8, 8})}, attributes, 18).shape(),
      (Shape{1, 1, 8, 16}));
}

// The fast path is the general one's arithmetic: width first, then height, to the bit.
TEST(Resize, BilinearEqualsOneAxisAtATime) {
  for (const auto& [in, out] : std::vector<std::pair<Ints, Ints>>{{{5, 7}, {13, 127}},
                                                                  {{90, 120}, {360, 480}},
                                                                  {{13, 127}, {5, 60}},
                                                                  {{3, 1}, {130, 13}},
                                                                  {{1, 2}, {127, 1}}}) {
    for (const char* coordinates : {"half_pixel", "align_corners", "asymmetric"}) {
      const Tensor x = RandomTensor({1, 3, in[0], in[1]}, 6);
      const Tensor both = ToSizes(x, {1, 3, out[0], out[1]}, Mode("linear", coordinates));
      const Tensor wide = ToSizes(x, {1, 3, in[0], out[1]}, Mode("linear", coordinates));
      ExpectTensor(both, ToSizes(wide, {1, 3, out[0], out[1]}, Mode("linear", coordinates)));
      const Tensor ref = Tensor::Zeros(DType::kFloat32, {1, 5, out[0], out[1]});
      ExpectTensor(RunOne("frf.ResizeLike", {x, ref},
                          {{"mode", std::string("linear")}, {"coordinates", std::string(coordinates)}}),
                   both);
    }
  }
}

TEST(ResizeLike, NearestIsTorchs) {
  const Tensor x = F({1, 1, 1, 4}, {0, 1, 2, 3}), two = Tensor::Zeros(DType::kFloat32, {1, 1, 1, 2});
  const auto nearest = [&](const char* coordinates) {
    return RunOne("frf.ResizeLike", {x, two},
                  {{"mode", std::string("nearest")}, {"coordinates", std::string(coordinates)}});
  };
  ExpectTensor(nearest("asymmetric"), F({1, 1, 1, 2}, {0, 2}));  // interpolate(mode="nearest")
  ExpectTensor(nearest("half_pixel"), F({1, 1, 1, 2}, {1, 3}));  // interpolate(mode="nearest-exact")
}

}  // namespace
}  // namespace frf::test
