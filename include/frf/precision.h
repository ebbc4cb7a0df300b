// SPDX-License-Identifier: Apache-2.0
// What the operands of a convolution's products are rounded to. Maps, biases, activations and everything
// between convolutions stay float32 in every precision.
#pragma once

#include <cstdint>
#include <string>

namespace frf {

enum class Precision : std::uint8_t {
  kFloat32,
  kBfloat16,  // 8 bits of mantissa, float32's range, sums in float32; wants AVX-512 with BF16
  kFloat16,   // 11 bits, up to 65504, sums likewise; wants AVX-512 with FP16
};

const char* NameOf(Precision precision);            // "f32", "bf16", "f16"
Precision PrecisionNamed(const std::string& name);  // kUsage for any other

}  // namespace frf
