// SPDX-License-Identifier: Apache-2.0
// Behind convolution.h: Winograd of our own where it fits (winograd.h), oneDNN for all else. Weights stay in
// the parameter's own order between steps and are packed on the way in (and gradients unpacked on the way
// out): a few per cent of the convolution, and no second copy to keep in step. Subtle: scratch memory is one
// buffer a thread, grown to the largest need; oneDNN's own would be allocated at every call.
#include "train/kernels/convolution.h"

#if defined(FRF_TRAIN_ONEDNN)

#include <algorithm>
#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "train/kernels/scratch.h"
#include "train/kernels/winograd.h"

namespace frf {
namespace {

using dnnl::memory;
constexpr auto kFloat = memory::data_type::f32;

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

thread_local Scratch scratch_memory, packed_memory;

memory Wrap(const memory::desc& desc, const void* data) {
  return memory(desc, Engine(), const_cast<void*>(data));
}

memory::dims Dims(const std::array<std::int64_t, 2>& values) { return {values[0], values[1]}; }

}  // namespace

struct BlockedConvolution::Impl {
  ConvolutionShape shape;
  ConvolutionOptions options;
  dnnl::stream stream{Engine()};
  dnnl::primitive_attr attributes;
  memory::desc x, weight, bias, y;  // weight: packed as the primitive likes
  memory::desc weight_given;        // as the parameter lies in memory
  memory::dims strides, dilations, pads;
  dnnl::convolution_forward::primitive_desc forward_desc;
  dnnl::convolution_forward forward;
  dnnl::reorder pack_forward, pack_data, unpack;
  memory::desc packed_forward, packed_data, packed_gradient;
  dnnl::convolution_backward_data data;
  dnnl::convolution_backward_weights weights;
  memory::desc forward_scratch_desc, data_scratch_desc, weights_scratch_desc;
  bool has_data = false, has_weights = false;
  std::optional<WinogradConvolution> winograd;  // then nothing of oneDNN is made

  Impl(const ConvolutionShape& s, const ConvolutionOptions& o) : shape(s), options(o) {
    if (o.winograd && !o.plain_input && !o.bias && WinogradConvolution::Fits(s)) {
      winograd.emplace(s, o.weight_strides);
      return;
    }
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto blocked = memory::format_tag::nChw16c;
    x = memory::desc({s.images, s.in, s.height, s.width}, kFloat,
                     o.plain_input ? memory::format_tag::nchw : blocked);
    y = memory::desc({s.images, s.out, s.out_height(), s.out_width()}, kFloat, blocked);
    const memory::dims weight_dims{s.out, s.in, s.kernel[0], s.kernel[1]};
    weight = memory::desc(weight_dims, kFloat, memory::format_tag::any);
    weight_given =
        memory::desc(weight_dims, kFloat, memory::dims(o.weight_strides.begin(), o.weight_strides.end()));
    if (o.bias) bias = memory::desc({s.out}, kFloat, memory::format_tag::a);
    strides = Dims(s.stride);
    pads = Dims(s.pad);
    dilations = {s.dilation[0] - 1, s.dilation[1] - 1};
    forward_desc = MakeForward();
    forward = dnnl::convolution_forward(forward_desc);
    packed_forward = forward_desc.weights_desc();
    forward_scratch_desc = forward_desc.scratchpad_desc();
    pack_forward = Reorder(weight_given, packed_forward);
  }

  static constexpr auto kDirect = dnnl::algorithm::convolution_direct;

  dnnl::convolution_forward::primitive_desc MakeForward() {
    const auto kind = dnnl::prop_kind::forward_training;
    const auto desc = options.bias ? dnnl::convolution_forward::desc(kind, kDirect, x, weight, bias, y,
                                                                     strides, dilations, pads, pads)
                                   : dnnl::convolution_forward::desc(kind, kDirect, x, weight, y, strides,
                                                                     dilations, pads, pads);
    return {desc, attributes, Engine()};
  }

  static dnnl::reorder Reorder(const memory::desc& from, const memory::desc& to) {
    return dnnl::reorder(dnnl::reorder::primitive_desc(Engine(), from, Engine(), to));
  }

  void PrepareData() {
    if (has_data) return;
    const dnnl::convolution_backward_data::primitive_desc desc(
        {kDirect, x, weight, y, strides, dilations, pads, pads}, attributes, Engine(), forward_desc);
    data = dnnl::convolution_backward_data(desc);
    packed_data = desc.weights_desc();
    data_scratch_desc = desc.scratchpad_desc();
    pack_data = Reorder(weight_given, packed_data);
    has_data = true;
  }

  void PrepareWeights() {
    if (has_weights) return;
    const auto op = options.bias ? dnnl::convolution_backward_weights::desc(kDirect, x, weight, bias, y,
                                                                            strides, dilations, pads, pads)
                                 : dnnl::convolution_backward_weights::desc(kDirect, x, weight, y, strides,
                                                                            dilations, pads, pads);
    const dnnl::convolution_backward_weights::primitive_desc desc(op, attributes, Engine(), forward_desc);
    weights = dnnl::convolution_backward_weights(desc);
    packed_gradient = desc.diff_weights_desc();
    weights_scratch_desc = desc.scratchpad_desc();
    unpack = Reorder(packed_gradient, weight_given);
    has_weights = true;
  }

  memory Packed(dnnl::reorder& pack, const memory::desc& desc, const float* given) {
    const memory packed = Wrap(desc, packed_memory.Get(desc.get_size()));
    pack.execute(stream, {{DNNL_ARG_FROM, Wrap(weight_given, given)}, {DNNL_ARG_TO, packed}});
    return packed;
  }

  static memory ScratchFor(const memory::desc& desc) {
    return Wrap(desc, scratch_memory.Get(std::max<std::size_t>(desc.get_size(), 64)));
  }
};

bool BlockedConvolutionsWork() {
  // A mask of features, of which AVX-512 (core) is one: later sets contain it.
  const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

BlockedConvolution::BlockedConvolution(const ConvolutionShape& shape, const ConvolutionOptions& options)
    : impl_(std::make_unique<Impl>(shape, options)) {}
BlockedConvolution::~BlockedConvolution() = default;

void BlockedConvolution::Forward(const float* x, const float* weight, const float* bias, float* y) {
  Impl& i = *impl_;
  if (i.winograd) return i.winograd->Forward(x, weight, y);
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, Wrap(i.x, x)},
                                       {DNNL_ARG_WEIGHTS, i.Packed(i.pack_forward, i.packed_forward, weight)},
                                       {DNNL_ARG_DST, Wrap(i.y, y)},
                                       {DNNL_ARG_SCRATCHPAD, Impl::ScratchFor(i.forward_scratch_desc)}};
  if (bias != nullptr) args.emplace(DNNL_ARG_BIAS, Wrap(i.bias, bias));
  i.forward.execute(i.stream, args);
  i.stream.wait();
}

void BlockedConvolution::BackwardData(const float* dy, const float* weight, float* dx) {
  Impl& i = *impl_;
  if (i.winograd) return i.winograd->BackwardData(dy, weight, dx);
  i.PrepareData();
  i.data.execute(i.stream, {{DNNL_ARG_DIFF_DST, Wrap(i.y, dy)},
                            {DNNL_ARG_WEIGHTS, i.Packed(i.pack_data, i.packed_data, weight)},
                            {DNNL_ARG_DIFF_SRC, Wrap(i.x, dx)},
                            {DNNL_ARG_SCRATCHPAD, Impl::ScratchFor(i.data_scratch_desc)}});
  i.stream.wait();
}

void BlockedConvolution::BackwardWeights(const float* x, const float* dy, float* dweight, float* dbias) {
  Impl& i = *impl_;
  if (i.winograd) return i.winograd->BackwardWeights(x, dy, dweight);
  i.PrepareWeights();
  const memory packed = Wrap(i.packed_gradient, packed_memory.Get(i.packed_gradient.get_size()));
  std::unordered_map<int, memory> args{{DNNL_ARG_SRC, Wrap(i.x, x)},
                                       {DNNL_ARG_DIFF_DST, Wrap(i.y, dy)},
                                       {DNNL_ARG_DIFF_WEIGHTS, packed},
                                       {DNNL_ARG_SCRATCHPAD, Impl::ScratchFor(i.weights_scratch_desc)}};
  if (dbias != nullptr) args.emplace(DNNL_ARG_DIFF_BIAS, Wrap(i.bias, dbias));
  i.weights.execute(i.stream, args);
  i.unpack.execute(i.stream, {{DNNL_ARG_FROM, packed}, {DNNL_ARG_TO, Wrap(i.weight_given, dweight)}});
  i.stream.wait();
}

}  // namespace frf

#else  // without oneDNN 2.x: libtorch's own convolutions do the work

#include "frf/error.h"

namespace frf {

struct BlockedConvolution::Impl {};
bool BlockedConvolutionsWork() { return false; }
BlockedConvolution::BlockedConvolution(const ConvolutionShape&, const ConvolutionOptions&) {
  throw Error(ErrorCode::kInternal, "blocked convolutions were asked for in a build without oneDNN 2.x");
}
BlockedConvolution::~BlockedConvolution() = default;
void BlockedConvolution::Forward(const float*, const float*, const float*, float*) {}
void BlockedConvolution::BackwardData(const float*, const float*, float*) {}
void BlockedConvolution::BackwardWeights(const float*, const float*, float*, float*) {}

}  // namespace frf

#endif
