// SPDX-License-Identifier: Apache-2.0
// Convolution and matrix product by one oneDNN primitive each; see onednn.h. The only file that includes
// oneDNN. Subtle: oneDNN counts dilation from 0 (dense), ONNX from 1; and reorders are primitives that are
// planned once, too.
#include "engine/onednn.h"

#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>

#include "frf/error.h"

namespace frf::dnn {
namespace {

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;
constexpr auto kF32 = memory::data_type::f32;
constexpr std::int64_t kWideKernel = 5;

dnnl::engine& Cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Cpu());
  return stream;
}

std::size_t RoundUp(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// oneDNN's exceptions as ours: callers add the node's name.
template <typename Body>
auto Guarded(const char* what, const Body& body) {
  try {
    return body();
  } catch (const dnnl::error& error) {
    const bool memory = error.status == dnnl_out_of_memory;
    throw Error(memory ? ErrorCode::kOutOfMemory : ErrorCode::kUnsupported,
                std::string(what) + ": oneDNN says '" + error.what() + "'");
  }
}

dnnl::primitive_attr UserScratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// Data that may have to be brought into another layout.
struct Operand {
  memory user, inner;  // the same object where no reorder is needed
  dnnl::reorder reorder;
  bool needed = false;
  std::size_t bytes() const { return needed ? RoundUp(inner.get_desc().get_size()) : 0; }
};

Operand MakeOperand(const memory::desc& user, const memory::desc& inner, bool inward) {
  Operand operand;
  operand.needed = user != inner;
  operand.user = memory(user, Cpu(), DNNL_MEMORY_NONE);
  operand.inner = operand.needed ? memory(inner, Cpu(), DNNL_MEMORY_NONE) : operand.user;
  if (operand.needed) {
    operand.reorder =
        inward ? dnnl::reorder(operand.user, operand.inner) : dnnl::reorder(operand.inner, operand.user);
  }
  return operand;
}

struct ConvShapes {
  memory::desc user_src, user_dst, user_weights, src, dst, weights, bias;
  Dims strides, dilations, pad_begin, pad_end;
};

ConvShapes Describe(const ConvGeometry& g) {
  const Dims src{g.batch, g.in_channels, g.in_height, g.in_width},
      dst{g.batch, g.out_channels, g.out_height, g.out_width};
  Dims weights{g.out_channels / g.groups, g.in_channels / g.groups, g.kernel_height, g.kernel_width};
  Tag tag = g.transposed ? Tag::iohw : Tag::oihw;
  if (g.groups > 1) {
    weights.insert(weights.begin(), g.groups);
    tag = g.transposed ? Tag::giohw : Tag::goihw;
  }
  const bool as_product = !g.transposed && g.groups == 1 && g.kernel_height == 1 && g.kernel_width == 1 &&
                          g.stride_height == 1 && g.stride_width == 1;
  const Tag maps = as_product ? Tag::nchw : Tag::any;
  ConvShapes s;
  s.user_src = {src, kF32, Tag::nchw};
  s.user_dst = {dst, kF32, Tag::nchw};
  s.user_weights = {weights, kF32, tag};
  s.src = {src, kF32, maps};
  s.dst = {dst, kF32, maps};
  s.weights = {weights, kF32, Tag::any};
  s.bias = {{g.out_channels}, kF32, Tag::a};
  s.strides = {g.stride_height, g.stride_width};
  s.dilations = {g.dilation_height - 1, g.dilation_width - 1};
  s.pad_begin = {g.pad_top, g.pad_left};
  s.pad_end = {g.pad_bottom, g.pad_right};
  return s;
}

}  // namespace

struct Convolution::Impl {
  ConvGeometry geometry;
  dnnl::primitive primitive;
  std::string implementation;
  Operand src, dst;
  memory user_weights, weights, bias, scratchpad;
  dnnl::reorder pack;

  template <typename Forward>
  void Plan(const ConvShapes& s, dnnl::algorithm algorithm) {
    const auto kind = dnnl::prop_kind::forward_inference;
    using Desc = typename Forward::desc;
    const Desc desc = geometry.bias ? Desc(kind, algorithm, s.src, s.weights, s.bias, s.dst, s.strides,
                                           s.dilations, s.pad_begin, s.pad_end)
                                    : Desc(kind, algorithm, s.src, s.weights, s.dst, s.strides, s.dilations,
                                           s.pad_begin, s.pad_end);
    typename Forward::primitive_desc planned(desc, UserScratchpad(), Cpu());
    // oneDNN 2.6.3's brgconv gives wrong and changing results where a wide kernel overhangs both ends of a
    // row: five taps two apart over seven columns, say (RandomGraphs). The next one that fits takes its
    // place.
    while (geometry.kernel_width >= kWideKernel &&
           std::string_view(planned.impl_info_str()).starts_with("brgconv:") && planned.next_impl()) {
    }
    primitive = Forward(planned);
    implementation = planned.impl_info_str();
    src = MakeOperand(s.user_src, planned.src_desc(), true);
    dst = MakeOperand(s.user_dst, planned.dst_desc(), false);
    user_weights = memory(s.user_weights, Cpu(), DNNL_MEMORY_NONE);
    weights = memory(planned.weights_desc(), Cpu(), DNNL_MEMORY_NONE);
    pack = dnnl::reorder(user_weights, weights);
    if (geometry.bias) bias = memory(s.bias, Cpu(), DNNL_MEMORY_NONE);
    scratchpad = memory(planned.scratchpad_desc(), Cpu(), DNNL_MEMORY_NONE);
  }
};

Convolution::Convolution(const ConvGeometry& geometry) : impl_(std::make_unique<Impl>()) {
  impl_->geometry = geometry;
  Guarded("convolution", [&] {
    const ConvShapes shapes = Describe(geometry);
    if (geometry.transposed) {
      impl_->Plan<dnnl::deconvolution_forward>(shapes, dnnl::algorithm::deconvolution_direct);
    } else {
      impl_->Plan<dnnl::convolution_forward>(shapes, dnnl::algorithm::convolution_direct);
    }
  });
}

Convolution::~Convolution() = default;

const ConvGeometry& Convolution::geometry() const { return impl_->geometry; }
std::string Convolution::implementation() const { return impl_->implementation; }
std::size_t Convolution::packed_bytes() const { return RoundUp(impl_->weights.get_desc().get_size()); }
std::size_t Convolution::scratch_bytes() const {
  return impl_->src.bytes() + impl_->dst.bytes() + RoundUp(impl_->scratchpad.get_desc().get_size());
}

void Convolution::PackWeights(const float* weights, void* packed) {
  Guarded("packing weights", [&] {
    impl_->user_weights.set_data_handle(const_cast<float*>(weights));
    impl_->weights.set_data_handle(packed);
    impl_->pack.execute(Stream(), impl_->user_weights, impl_->weights);
    Stream().wait();
  });
}

void Convolution::Run(const float* src, const void* packed, const float* bias, float* dst, void* scratch) {
  Guarded("convolution", [&] {
    Impl& p = *impl_;
    auto* free = static_cast<std::byte*>(scratch);
    p.src.user.set_data_handle(const_cast<float*>(src));
    p.dst.user.set_data_handle(dst);
    if (p.src.needed) p.src.inner.set_data_handle(free);
    free += p.src.bytes();
    if (p.dst.needed) p.dst.inner.set_data_handle(free);
    free += p.dst.bytes();
    p.scratchpad.set_data_handle(free);
    p.weights.set_data_handle(const_cast<void*>(packed));
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, p.src.inner},
                                              {DNNL_ARG_WEIGHTS, p.weights},
                                              {DNNL_ARG_DST, p.dst.inner},
                                              {DNNL_ARG_SCRATCHPAD, p.scratchpad}};
    if (p.geometry.bias) {
      p.bias.set_data_handle(const_cast<float*>(bias));
      arguments.emplace(DNNL_ARG_BIAS, p.bias);
    }
    if (p.src.needed) p.src.reorder.execute(Stream(), p.src.user, p.src.inner);
    p.primitive.execute(Stream(), arguments);
    if (p.dst.needed) p.dst.reorder.execute(Stream(), p.dst.inner, p.dst.user);
    Stream().wait();
  });
}

struct MatrixProduct::Impl {
  MatMulGeometry geometry;
  dnnl::primitive primitive;
  std::string implementation;
  memory a, b, c, scratchpad;
};

MatrixProduct::MatrixProduct(const MatMulGeometry& g) : impl_(std::make_unique<Impl>()) {
  impl_->geometry = g;
  Guarded("matrix product", [&] {
    const auto matrix = [](std::int64_t batch, std::int64_t rows, std::int64_t columns, bool transposed) {
      const Dims strides = transposed ? Dims{rows * columns, 1, rows} : Dims{rows * columns, columns, 1};
      return memory::desc(Dims{batch, rows, columns}, kF32, strides);
    };
    const memory::desc a = matrix(g.a_shared ? 1 : g.batch, g.m, g.k, g.a_transposed);
    const memory::desc b = matrix(g.b_shared ? 1 : g.batch, g.k, g.n, g.b_transposed);
    const memory::desc c = matrix(g.batch, g.m, g.n, false);
    const dnnl::matmul::primitive_desc planned(dnnl::matmul::desc(a, b, c), UserScratchpad(), Cpu());
    impl_->primitive = dnnl::matmul(planned);
    impl_->implementation = planned.impl_info_str();
    impl_->a = memory(a, Cpu(), DNNL_MEMORY_NONE);
    impl_->b = memory(b, Cpu(), DNNL_MEMORY_NONE);
    impl_->c = memory(c, Cpu(), DNNL_MEMORY_NONE);
    impl_->scratchpad = memory(planned.scratchpad_desc(), Cpu(), DNNL_MEMORY_NONE);
  });
}

MatrixProduct::~MatrixProduct() = default;

const MatMulGeometry& MatrixProduct::geometry() const { return impl_->geometry; }
std::string MatrixProduct::implementation() const { return impl_->implementation; }
std::size_t MatrixProduct::scratch_bytes() const { return RoundUp(impl_->scratchpad.get_desc().get_size()); }

void MatrixProduct::Run(const float* a, const float* b, float* c, void* scratch) {
  Guarded("matrix product", [&] {
    Impl& p = *impl_;
    p.a.set_data_handle(const_cast<float*>(a));
    p.b.set_data_handle(const_cast<float*>(b));
    p.c.set_data_handle(c);
    p.scratchpad.set_data_handle(scratch);
    p.primitive.execute(Stream(), {{DNNL_ARG_SRC, p.a},
                                   {DNNL_ARG_WEIGHTS, p.b},
                                   {DNNL_ARG_DST, p.c},
                                   {DNNL_ARG_SCRATCHPAD, p.scratchpad}});
    Stream().wait();
  });
}

}  // namespace frf::dnn
