// SPDX-License-Identifier: Apache-2.0
// Convolutions of bytes by signed weights, against sums in integers, at shapes that break panels and tails;
// and the maps and programs around them. Kernels without a dot product are held to the same rounding by way
// of floats (quantize_test.cpp).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/maps.h"
#include "engine/kernels/program.h"

namespace frf::test {
namespace {

using namespace frf::kernels;

struct OwnBytes {  // `extra` bytes wider than its channels at every pixel: a slice
  OwnBytes(int height, int width, int channels, int extra, std::uint64_t seed, Coding coding = {1, 0})
      : values(static_cast<std::size_t>(height) * width * (PaddedChannels(channels) + extra) + 64) {
    Random random(seed);
    for (std::uint8_t& v : values) v = static_cast<std::uint8_t>(random.Uniform(0, 256));
    const std::ptrdiff_t pixel = PaddedChannels(channels) + extra;
    view = {values.data(), height, width, PaddedChannels(channels), pixel, width * pixel, coding};
  }
  int at(int y, int x, int c) const { return values[y * view.row + x * view.pixel + c]; }
  std::vector<std::uint8_t> values;
  ByteMap view;
};

struct Case {
  int in, out, height, width, kernel_h, kernel_w, stride, dilation, pad, zero;
};

class ByteConvs : public testing::TestWithParam<Case> {};

std::int64_t SumOf(const OwnBytes& src, const std::vector<std::int8_t>& weights, const Case& s, int o, int y,
                   int x) {
  std::int64_t sum = 0;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    for (int kx = 0; kx < s.kernel_w; ++kx) {
      const int sy = y * s.stride + ky * s.dilation - s.pad, sx = x * s.stride + kx * s.dilation - s.pad;
      const bool inside = sy >= 0 && sx >= 0 && sy < s.height && sx < s.width;
      for (int c = 0; c < s.in; ++c) {
        sum += (inside ? src.at(sy, sx, c) : s.zero) *
               weights[((o * s.in + c) * s.kernel_h + ky) * s.kernel_w + kx];
      }
    }
  }
  return sum;
}

TEST_P(ByteConvs, SumsAreExactAndRoundedToTheNearest) {
  const Case& s = GetParam();
  const int height = (s.height + 2 * s.pad - (s.kernel_h - 1) * s.dilation - 1) / s.stride + 1;
  const int width = (s.width + 2 * s.pad - (s.kernel_w - 1) * s.dilation - 1) / s.stride + 1;
  bool any = false;
  for (const Kernels* k : AllKernels()) {
    if (!k->has_dot()) continue;
    any = true;
    OwnBytes src(s.height, s.width, s.in, 16, 1, {1, s.zero}), add(height, width, s.out, 0, 2, {0.02f, 3});
    OwnBytes dst(height, width, s.out, 32, 3, {0.05f, 7}), sum(height, width, s.out, 16, 4, {0.06f, 5});
    std::vector<std::int8_t> weights(static_cast<std::size_t>(s.out) * s.in * s.kernel_h * s.kernel_w);
    Random random(5);
    for (std::int8_t& w : weights) w = static_cast<std::int8_t>(random.Uniform(-127, 128));
    const int depth = PaddedChannels(s.in);
    std::vector<std::int8_t> packed(k->bytes_packed_size(s.out, s.kernel_h * s.kernel_w, depth));
    k->pack_bytes(weights.data(), s.out, s.in, s.kernel_h, s.kernel_w, 1, depth, packed.data());
    const std::vector<std::uint8_t> zeros(depth, static_cast<std::uint8_t>(s.zero));
    std::vector<float> scale(PaddedChannels(s.out), 0.0f), offset(PaddedChannels(s.out), 0.0f);
    for (int o = 0; o < s.out; ++o)
      scale[o] = 0.001f + 0.0001f * static_cast<float>(o % 7), offset[o] = static_cast<float>(o % 50);
    ByteConv conv;
    conv.src = src.view;
    conv.floats = {nullptr, height, width, PaddedChannels(s.out), 0, 0};
    conv.kernel_h = s.kernel_h, conv.kernel_w = s.kernel_w;
    conv.stride_h = conv.stride_w = s.stride;
    conv.dilation_h = conv.dilation_w = s.dilation;
    conv.pad_top = conv.pad_left = s.pad;
    conv.depth = depth, conv.zeros = zeros.data(), conv.weights = packed.data();
    conv.out_blocks = PaddedChannels(s.out) / kBlock;
    conv.scale = scale.data(), conv.offset = offset.data();
    conv.low = 9, conv.high = 250;
    std::vector<float> floats(static_cast<std::size_t>(height) * width * PaddedChannels(s.out));
    for (const bool bytes : {false, true}) {
      const std::vector<std::uint8_t> before = dst.values;
      if (bytes) {
        conv.dst = dst.view, conv.add = add.view, conv.sum = sum.view;
      } else {
        conv.floats = {floats.data(),
                       height,
                       width,
                       PaddedChannels(s.out),
                       PaddedChannels(s.out),
                       static_cast<std::ptrdiff_t>(width) * PaddedChannels(s.out)};
      }
      k->plan_byte_conv(conv, 2, 1 << 20);
      std::vector<float> scratch(k->byte_conv_scratch(conv));
      for (std::int64_t item = conv.items; item-- > 0;) k->byte_conv(conv, item, scratch.data());
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          for (int o = 0; o < s.out; ++o) {
            const double value = static_cast<double>(SumOf(src, weights, s, o, y, x)) * scale[o] + offset[o];
            if (!bytes) {
              ASSERT_NEAR(floats[(static_cast<std::size_t>(y) * width + x) * PaddedChannels(s.out) + o],
                          value, 1e-4 + 1e-6 * std::abs(value))
                  << k->isa;
              continue;
            }
            const double clamped = std::clamp(value, 9.0, 250.0);
            const int got = dst.at(y, x, o);
            ASSERT_LE(std::abs(got - clamped), 0.5001) << k->isa << " " << y << " " << x << " " << o;
            const double total = ((got - 7) * 0.05 + (add.at(y, x, o) - 3) * 0.02) / 0.06 + 5;
            ASSERT_LE(std::abs(sum.at(y, x, o) - std::clamp(total, 0.0, 255.0)), 0.5001) << k->isa;
          }
        }
      }
      if (s.kernel_h == 3 && s.kernel_w == 3 && s.stride == 1) {  // Winograd in whole numbers: the same bits
        std::vector<std::int16_t> words(k->byte_winograd_packed_size(s.out, depth));
        k->pack_byte_winograd(weights.data(), s.out, s.in, depth, words.data());
        for (const int threads : {1, 8}) {
          const std::vector<std::uint8_t> wanted = dst.values, wanted_sum = sum.values;
          const std::vector<float> wanted_floats = floats;
          std::fill(dst.values.begin(), dst.values.end(), std::uint8_t{1}),
              std::fill(sum.values.begin(), sum.values.end(), std::uint8_t{1});
          for (int i = 0; i < height * width; ++i) {  // what lies beside slices
            std::copy_n(&wanted[i * dst.view.pixel + PaddedChannels(s.out)], 32,
                        &dst.values[i * dst.view.pixel + PaddedChannels(s.out)]);
            std::copy_n(&wanted_sum[i * sum.view.pixel + PaddedChannels(s.out)], 16,
                        &sum.values[i * sum.view.pixel + PaddedChannels(s.out)]);
          }
          std::fill(floats.begin(), floats.end(), -1.0f);
          ByteWinograd winograd{.conv = conv, .weights = words.data()};
          k->plan_byte_winograd(winograd, threads, 1 << 20);
          std::vector<float> own(k->byte_winograd_scratch(winograd));
          for (std::int64_t item = winograd.items; item-- > 0;) k->byte_winograd(winograd, item, own.data());
          const auto used = [&](const ByteMap& map) { return height * map.row; };
          if (bytes) {
            ASSERT_TRUE(std::equal(wanted.begin(), wanted.begin() + used(dst.view), dst.values.begin()))
                << k->isa;
            ASSERT_TRUE(
                std::equal(wanted_sum.begin(), wanted_sum.begin() + used(sum.view), sum.values.begin()))
                << k->isa;
          } else {
            ASSERT_EQ(floats, wanted_floats) << k->isa;
          }
        }
      }
      if (!bytes) continue;
      for (int i = 0; i < height * width; ++i) {  // what lies beside the slice is nobody's to touch
        for (int c = PaddedChannels(s.out); c < dst.view.pixel; ++c)
          ASSERT_EQ(dst.values[i * dst.view.pixel + c], before[i * dst.view.pixel + c]);
      }
    }
  }
  if (!any) GTEST_SKIP() << "this CPU has no 8-bit dot product";
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ByteConvs,
    testing::Values(Case{16, 16, 5, 7, 3, 3, 1, 1, 1, 0}, Case{48, 48, 9, 13, 3, 3, 1, 1, 1, 3},
                    Case{3, 32, 11, 9, 3, 3, 2, 1, 1, 114}, Case{20, 19, 7, 5, 1, 1, 1, 1, 0, 0},
                    Case{64, 144, 6, 31, 3, 3, 2, 1, 1, 255}, Case{80, 80, 4, 4, 3, 3, 1, 4, 4, 17},
                    Case{128, 64, 1, 1, 3, 3, 1, 1, 1, 1}, Case{33, 100, 17, 3, 5, 1, 1, 1, 2, 0},
                    Case{256, 96, 30, 20, 1, 1, 1, 1, 0, 0}, Case{16, 8, 1, 200, 1, 7, 1, 1, 3, 9},
                    Case{160, 112, 23, 18, 3, 3, 1, 1, 1, 0}, Case{48, 64, 40, 41, 3, 3, 1, 2, 2, 200},
                    Case{16, 80, 19, 29, 3, 3, 1, 3, 3, 0}, Case{200, 33, 8, 9, 3, 3, 1, 1, 0, 128}));

// Sums at the edges of what Winograd in whole numbers can hold: all weights and bytes extreme, of one sign or
// by turns.
TEST(ByteConv, WinogradHoldsTheLargestSums) {
  for (const Kernels* k : AllKernels()) {
    if (!k->has_dot()) continue;
    constexpr int kIn = 112, kSize = 9, kOut = 32;  // 112 * 9 * 255 * 127 = 32.6 million, 2^25 is 33.6
    std::vector<std::uint8_t> map(kSize * kSize * kIn + 64);
    std::vector<std::int8_t> weights(kOut * kIn * 9);
    Random random(8);
    for (std::uint8_t& v : map) v = random.Chance(0.9) ? 255 : 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const int o = static_cast<int>(i / (kIn * 9));
      weights[i] = o == 0               ? 127
                   : o == 1             ? -127
                   : o == 2             ? (i % 2 ? 127 : -127)
                   : o == 3             ? (i % 3 ? -127 : 127)
                   : random.Chance(0.5) ? 127
                                        : -127;
    }
    std::vector<std::int8_t> packed(k->bytes_packed_size(kOut, 9, kIn));
    k->pack_bytes(weights.data(), kOut, kIn, 3, 3, 1, kIn, packed.data());
    std::vector<std::int16_t> words(k->byte_winograd_packed_size(kOut, kIn));
    k->pack_byte_winograd(weights.data(), kOut, kIn, kIn, words.data());
    const std::vector<std::uint8_t> zeros(kIn, 255);
    const std::vector<float> scale(kOut, 1.0f), offset(kOut, 0.0f);
    std::vector<float> direct(kSize * kSize * kOut), tiled(direct.size());
    ByteConv conv;
    conv.src = {map.data(), kSize, kSize, kIn, kIn, kSize * kIn, {}};
    conv.floats = {direct.data(), kSize, kSize, kOut, kOut, kSize * kOut};
    conv.kernel_h = conv.kernel_w = 3, conv.pad_top = conv.pad_left = 1, conv.depth = kIn,
    conv.zeros = zeros.data();
    conv.weights = packed.data(), conv.out_blocks = kOut / kBlock, conv.scale = scale.data(),
    conv.offset = offset.data();
    k->plan_byte_conv(conv, 2, 1 << 20);
    std::vector<float> scratch(k->byte_conv_scratch(conv));
    for (std::int64_t item = 0; item < conv.items; ++item) k->byte_conv(conv, item, scratch.data());
    ByteWinograd winograd{.conv = conv, .weights = words.data()};
    winograd.conv.floats.data = tiled.data();
    k->plan_byte_winograd(winograd, 2, 1 << 20);
    scratch.resize(k->byte_winograd_scratch(winograd));
    for (std::int64_t item = 0; item < winograd.items; ++item)
      k->byte_winograd(winograd, item, scratch.data());
    ASSERT_EQ(tiled, direct) << k->isa;
    ASSERT_GT(*std::max_element(direct.begin(), direct.end()), 2.8e7f);
  }
}

TEST(ByteConv, AKernelRowOfThePictureIsOneTap) {
  for (const Kernels* k : AllKernels()) {
    if (!k->has_dot()) continue;
    constexpr int kHeight = 6, kWidth = 9, kOut = 17;
    std::vector<std::uint8_t> picture(kHeight * kWidth * 3 + 64);
    Random random(2);
    for (std::uint8_t& v : picture) v = static_cast<std::uint8_t>(random.Uniform(0, 256));
    std::vector<std::int8_t> weights(kOut * 3 * 9);
    for (std::int8_t& w : weights) w = static_cast<std::int8_t>(random.Uniform(-127, 128));
    std::vector<std::int8_t> packed(k->bytes_packed_size(kOut, 3, 12));
    k->pack_bytes(weights.data(), kOut, 3, 3, 3, 3, 12, packed.data());
    const std::vector<float> scale(32, 1.0f), offset(32, 0.0f);
    std::vector<float> floats((kHeight - 2) * (kWidth - 2) * 32);
    ByteConv conv;
    conv.src = {picture.data(), kHeight, kWidth, 3, 3, kWidth * 3, {}};
    conv.floats = {floats.data(), kHeight - 2, kWidth - 2, 32, 32, (kWidth - 2) * 32};
    conv.kernel_h = 3, conv.kernel_w = 1, conv.depth = 12;
    conv.weights = packed.data(), conv.out_blocks = 2, conv.scale = scale.data(), conv.offset = offset.data();
    k->plan_byte_conv(conv, 1, 1 << 20);
    std::vector<float> scratch(k->byte_conv_scratch(conv));
    for (std::int64_t item = 0; item < conv.items; ++item) k->byte_conv(conv, item, scratch.data());
    for (int y = 0; y < kHeight - 2; ++y) {
      for (int x = 0; x < kWidth - 2; ++x) {
        for (int o = 0; o < kOut; ++o) {
          std::int64_t sum = 0;
          for (int c = 0; c < 3; ++c) {
            for (int t = 0; t < 9; ++t)
              sum += picture[((y + t / 3) * kWidth + x + t % 3) * 3 + c] * weights[(o * 3 + c) * 9 + t];
          }
          ASSERT_EQ(floats[(y * (kWidth - 2) + x) * 32 + o], static_cast<float>(sum)) << k->isa;
        }
      }
    }
  }
}

// Programs, pools and sums read and write bytes in every instruction set, with or without a dot product.
TEST(ByteMaps, ProgramsDecodeAndRound) {
  for (const Kernels* k : AllKernels()) {
    OwnBytes a(5, 7, 20, 16, 1, {0.5f, 10}), vector(1, 1, 20, 0, 2, {0.1f, 0}),
        dst(5, 7, 20, 16, 3, {0.7f, 20});
    Program program{.channels = 32, .true_channels = 20, .height = 5, .width = 7};
    program.inputs = {{.kind = ProgramInput::kMap, .bytes = a.view},
                      {.kind = ProgramInput::kVector, .bytes = vector.view}};
    program.code = {{ProgramOp::kAdd, 2, 0, 1}};
    program.output = {.reg = 2, .bytes = dst.view};
    k->plan_program(program, 2);
    std::vector<float> scratch(k->program_scratch(program));
    for (std::int64_t item = 0; item < program.items; ++item) k->program(program, item, scratch.data());
    for (int i = 0; i < 35; ++i) {
      for (int c = 0; c < 20; ++c) {
        const double value = (a.at(i / 7, i % 7, c) - 10) * 0.5 + vector.at(0, 0, c) * 0.1;
        ASSERT_LE(std::abs(dst.at(i / 7, i % 7, c) - std::clamp(value / 0.7 + 20, 0.0, 255.0)), 0.5001)
            << k->isa;
      }
    }
    std::vector<float> floats(5 * 7 * 32);
    program.output = {.reg = 2, .map = {floats.data(), 5, 7, 32, 32, 7 * 32}, .round = {0.7f, 20}};
    for (std::int64_t item = 0; item < program.items; ++item) k->program(program, item, scratch.data());
    for (int i = 0; i < 35; ++i) {  // the floats that the same bytes stand for
      for (int c = 0; c < 20; ++c)
        ASSERT_NEAR(floats[i * 32 + c], (dst.at(i / 7, i % 7, c) - 20) * 0.7, 0.7001) << k->isa;
    }
  }
}

TEST(ByteMaps, ResizedInputs) {
  for (const Kernels* k : AllKernels()) {
    OwnBytes small(3, 4, 16, 0, 1, {0.25f, 100});
    std::vector<Tap> rows, columns;
    for (int i = 0; i < 6; ++i) rows.push_back({i / 2, std::min(i / 2 + 1, 2), 0.75f, 0.25f});
    for (int i = 0; i < 8; ++i) columns.push_back({i / 2, std::min(i / 2 + 1, 3), 0.5f, 0.5f});
    std::vector<float> out(6 * 8 * 16);
    Program program{.channels = 16, .true_channels = 16, .height = 6, .width = 8};
    program.inputs = {{.kind = ProgramInput::kResized,
                       .bytes = small.view,
                       .rows = rows.data(),
                       .columns = columns.data()}};
    program.output = {.reg = 0, .map = {out.data(), 6, 8, 16, 16, 8 * 16}};
    k->plan_program(program, 1);
    std::vector<float> scratch(k->program_scratch(program));
    for (std::int64_t item = 0; item < program.items; ++item) k->program(program, item, scratch.data());
    for (int y = 0; y < 6; ++y) {
      for (int x = 0; x < 8; ++x) {
        for (int c = 0; c < 16; ++c) {
          const auto at = [&](int sy, int sx) { return (small.at(sy, sx, c) - 100) * 0.25; };
          const double wanted =
              0.75 * 0.5 * (at(rows[y].first, columns[x].first) + at(rows[y].first, columns[x].second)) +
              0.25 * 0.5 * (at(rows[y].second, columns[x].first) + at(rows[y].second, columns[x].second));
          ASSERT_NEAR(out[(y * 8 + x) * 16 + c], wanted, 1e-4) << k->isa;
        }
      }
    }
  }
}

TEST(ByteMaps, PoolsOfBytes) {
  for (const Kernels* k : AllKernels()) {
    OwnBytes src(7, 6, 32, 16, 1, {0.1f, 40}), dst(4, 3, 32, 0, 2, {0.1f, 40});
    Pool pool{.kernel_h = 3,
              .kernel_w = 3,
              .stride_h = 2,
              .stride_w = 2,
              .pad_top = 1,
              .pad_left = 1,
              .rows_per_item = 2,
              .items = 2};
    pool.src_bytes = src.view, pool.dst_bytes = dst.view;
    for (std::int64_t item = 0; item < pool.items; ++item) k->pool(pool, item);
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 3; ++x) {
        for (int c = 0; c < 32; ++c) {
          int most = 0;
          for (int sy = std::max(0, 2 * y - 1); sy < std::min(7, 2 * y + 2); ++sy) {
            for (int sx = std::max(0, 2 * x - 1); sx < std::min(6, 2 * x + 2); ++sx)
              most = std::max(most, src.at(sy, sx, c));
          }
          ASSERT_EQ(dst.at(y, x, c), most) << k->isa;
        }
      }
    }
    std::vector<float> mean(32), partial(3 * 32);
    WeightedPool weighted{.src = {nullptr, 7, 6, 32, 0, 0},
                          .dst = {mean.data(), 1, 1, 32, 32, 32},
                          .bytes = src.view,
                          .scale = 1.0f / 42};
    weighted.partial = partial.data(), weighted.parts = 3;
    for (std::int64_t part = 0; part < 3; ++part) k->weighted_pool(weighted, part);
    k->finish_weighted_pool(weighted);
    for (int c = 0; c < 32; ++c) {
      double sum = 0;
      for (int i = 0; i < 42; ++i) sum += (src.at(i / 6, i % 6, c) - 40) * 0.1;
      ASSERT_NEAR(mean[c], sum / 42, 1e-4) << k->isa;
    }
  }
}

}  // namespace
}  // namespace frf::test
