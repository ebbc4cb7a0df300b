// SPDX-License-Identifier: Apache-2.0
// Number formats of arithmetic. Of a session: what the operands of convolutions' products are rounded to,
// while maps, biases, activations and everything between convolutions stay float32. Of training: autocast's.
#pragma once

#include <cstdint>

namespace frf {

enum class Precision : std::uint8_t {
  kFloat32,
  kBfloat16,  // 8 bits of mantissa, float32's range; a session's sums in float32; wants AVX-512 with BF16
  kFloat16,   // 11 bits, up to 65504; a session's sums in float16 too; wants AVX-512 with FP16
};

constexpr const char* NameOf(Precision precision) {
  switch (precision) {
    case Precision::kBfloat16:
      return "bf16";
    case Precision::kFloat16:
      return "f16";
    default:
      return "f32";
  }
}

}  // namespace frf
