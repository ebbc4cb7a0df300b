// SPDX-License-Identifier: Apache-2.0
// Everything that frf asks of oneDNN, without its headers: a convolution and a matrix product on plain
// row-major data. An object is planned once for one geometry and run many times; it keeps no buffers of its
// own, so the caller knows (and counts) every byte: packed weights and scratch are handed in.
//
//   dnn::Convolution conv(geometry);
//   conv.PackWeights(weights, packed);                  // packed: conv.packed_bytes(), 64-byte aligned
//   conv.Run(src, packed, bias, dst, scratch);          // scratch: conv.scratch_bytes()
//
// Subtle: 3x3 and grouped convolutions run in the layout that oneDNN prefers, between two reorders; ungrouped
// 1x1 ones run as plain matrix products, where reorders would cost more than they bring. The same geometry
// and thread count give the same bits. Threads are OpenMP's: omp_get_max_threads() at construction and at Run
// must agree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace frf::dnn {

struct ConvGeometry {  // N x C x H x W
  std::int64_t batch = 1, in_channels = 1, in_height = 1, in_width = 1;
  std::int64_t out_channels = 1, out_height = 1, out_width = 1;
  std::int64_t groups = 1, kernel_height = 1, kernel_width = 1;
  std::int64_t stride_height = 1, stride_width = 1, dilation_height = 1, dilation_width = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0,
               pad_right = 0;  // the last two may be negative when transposed
  bool bias = false;
  bool transposed = false;  // weights are then [in, out/groups, kh, kw], as in ONNX
  bool operator==(const ConvGeometry&) const = default;
};

class Convolution {
 public:
  explicit Convolution(const ConvGeometry& geometry);  // throws kUnsupported
  ~Convolution();

  const ConvGeometry& geometry() const;
  std::size_t packed_bytes() const;
  std::size_t scratch_bytes() const;
  std::string implementation() const;  // "brgconv:avx512_core"

  // From ONNX's layout: [out, in/groups, kh, kw], transposed [in, out/groups, kh, kw].
  void PackWeights(const float* weights, void* packed);
  void Run(const float* src, const void* packed, const float* bias, float* dst, void* scratch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct MatMulGeometry {  // c[batch,m,n] = a[batch,m,k] x b[batch,k,n]
  std::int64_t batch = 1, m = 1, n = 1, k = 1;
  bool a_shared = false, b_shared = false;          // one matrix for the whole batch
  bool a_transposed = false, b_transposed = false;  // stored [k,m], [n,k]
  bool operator==(const MatMulGeometry&) const = default;
};

class MatrixProduct {
 public:
  explicit MatrixProduct(const MatMulGeometry& geometry);  // throws kUnsupported
  ~MatrixProduct();

  const MatMulGeometry& geometry() const;
  std::size_t scratch_bytes() const;
  std::string implementation() const;
  void Run(const float* a, const float* b, float* c, void* scratch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf::dnn
