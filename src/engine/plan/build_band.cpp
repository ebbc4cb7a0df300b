// SPDX-License-Identifier: Apache-2.0
// Which operations become a band (band.h), and its step: the kernels of single steps, run on windows instead
// of maps.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "engine/plan/band.h"
#include "engine/plan/step_builder.h"

namespace frf::engine {

namespace {

constexpr std::size_t kMostWindowBytes = std::size_t{800}
                                         << 10;  // of a thread: with weights and results, they fit L2
constexpr std::size_t kEasyWindowBytes = std::size_t{640} << 10;  // there is room for a tick more
constexpr std::size_t kMostWeightBytes = std::size_t{128} << 10;  // all weights pass by at every tick
constexpr int kFewestRows = 4;  // an item: less, and the overlap costs too much
constexpr int kMostStages = 16;

using Run = std::function<void(const BandCall& call, std::byte* source, std::byte* result, float* scratch)>;

struct Stage {
  Run run;
  std::size_t row_bytes = 0, offset = 0;  // of its window, in scratch
  int source = -1;
  bool in_window = false;
};

// The source's rows as far as they stand in a window (null: all of it, in memory), counted from the first row
// of the part.
template <typename Part, typename Source>
void TakeSource(const BandCall& call, std::byte* window, Part& part, Source& source) {
  part.pad_top -= call.begin * part.stride_h;
  if (!window) return;
  source.data = reinterpret_cast<decltype(source.data)>(window);
  source.height = call.source_end - call.source_origin;
  part.pad_top += call.source_origin;
}

template <typename Result>
void TakeResult(const BandCall& call, std::byte* window, Result& result) {
  if (window)
    result.data = reinterpret_cast<decltype(result.data)>(window) + (call.begin - call.origin) * result.row;
  else
    result.data += call.begin * result.row;
  result.height = call.end - call.begin;
}

template <typename Part>
void TakeAllPixels(const BandCall& call, int width, Part& part) {
  part.pixels_per_item = (call.end - call.begin) * width;
  part.panels_per_item = 1 << 20;  // all of them
  part.items = 1;
}

}  // namespace

// Kernels that run on any rows, and nothing that reads two maps.
bool StepBuilder::FitsBand(const NamedOperation& named) const {
  if (std::holds_alternative<PictureOp>(named.op)) return PictureIsBordered();
  if (const auto* pool = std::get_if<PoolOp>(&named.op))
    return !(pool->geometry.average && pool->geometry.count_padding);
  const auto* conv = std::get_if<ConvOp>(&named.op);
  if (!conv || conv->add >= 0 || conv->sum >= 0 || conv->phase_h > 1 || conv->phase_w > 1) return false;
  if (conv->src == lowered_.picture && !PictureIsBordered()) return false;
  if (conv->weight.size() * (conv->integers && kernels_.has_dot() ? 1 : sizeof(float)) > kMostWeightBytes)
    return false;
  if (conv->integers && kernels_.has_dot()) return !FitsByteWinograd(named.name, *conv);
  if (conv->groups > 1) return conv->weight.dim(1) == 1;
  return ChoiceOf(named.name, *conv) == ConvChoice::kDirect;
}

BandStage StepBuilder::StageOf(const NamedOperation& named) const {
  if (const auto* picture = std::get_if<PictureOp>(&named.op)) return {.height = BorderOf(*picture).height};
  if (const auto* op = std::get_if<PoolOp>(&named.op)) {
    const kernels::Pool& pool = op->geometry;
    return {.kernel = pool.kernel_h,
            .stride = pool.stride_h,
            .dilation = pool.dilation_h,
            .pad = pool.pad_top,
            .height = lowered_.values[op->dst].height};
  }
  const auto& conv = std::get<ConvOp>(named.op);
  const bool border = conv.src == lowered_.picture;  // which has the padding
  return {.kernel = static_cast<int>(conv.weight.dim(2)),
          .stride = conv.stride_h,
          .dilation = conv.dilation_h,
          .pad = border ? 0 : conv.pad_top,
          .height = lowered_.values[conv.dst].height};
}

std::size_t StepBuilder::WindowRowBytes(const NamedOperation& named) const {
  const int id = Writes(named.op).at(0);
  std::size_t row = RowOf(RootOf(id));
  if (const auto* picture = std::get_if<PictureOp>(&named.op))
    row = std::size_t{3} * BorderOf(*picture).width;
  return row * (IsBytes(id) ? 1 : sizeof(float));
}

bool StepBuilder::Schedule(Band& band) const {
  std::vector<int> maker(lowered_.values.size(), -1);
  std::vector<std::size_t> row_bytes;
  std::vector<bool> read(band.end - band.begin, false);
  for (int o = band.begin; o < band.end; ++o) {
    const NamedOperation& named = lowered_.ops[o];
    BandStage stage = StageOf(named);
    for (const int id : Reads(named.op)) stage.source = maker[id];
    if (stage.source >= 0) read[stage.source] = true;
    maker[Writes(named.op).at(0)] = o - band.begin;
    band.stages.push_back(stage);
    row_bytes.push_back(WindowRowBytes(named));
  }
  int ticks = std::numeric_limits<int>::max();
  for (std::size_t s = 0; s < read.size(); ++s) {
    if (!read[s]) ticks = std::min(ticks, band.stages[s].height);
  }
  const int wanted = 4 * plan_.options_.threads, rows = std::max(kFewestRows, (ticks + wanted - 1) / wanted);
  for (const auto& [slack, most] : {std::pair(true, kEasyWindowBytes), std::pair(false, kMostWindowBytes)}) {
    band.schedule = ScheduleBand(band.stages, ticks, (ticks + rows - 1) / rows, slack);
    std::size_t bytes = 0;
    for (std::size_t s = 0; s < read.size(); ++s) bytes += band.schedule.window[s] * row_bytes[s];
    if (bytes <= most) return true;
  }
  return false;
}

// The longest run of operations from `begin` on of which each result is read either by the run alone or by
// others alone.
StepBuilder::Band StepBuilder::LongestBand(int begin) const {
  const auto whole = [&](int id) {  // a map of its own, no slice and not sliced
    return lowered_.values[id].map && lowered_.values[id].parent < 0 && lowered_.values[id].parts.empty() &&
           std::none_of(lowered_.values.begin(), lowered_.values.end(),
                        [&](const Value& v) { return v.parent == id; });
  };
  const auto count = static_cast<int>(lowered_.ops.size());
  int end = begin;
  while (end < count && end - begin < kMostStages && FitsBand(lowered_.ops[end])) ++end;
  for (; end > begin + 1; --end) {
    std::size_t saved = 0;
    bool fits = true;
    for (int maker = begin; maker < end && fits; ++maker) {
      const int made = Writes(lowered_.ops[maker].op).at(0);
      int inside = 0, outside = 0;
      for (int o = 0; o < count; ++o) {
        for (const int id : Reads(lowered_.ops[o].op)) {
          if (RootOf(id) == RootOf(made)) ++(o >= begin && o < end ? inside : outside);
        }
      }
      fits = inside == 0 || (outside == 0 && whole(made));
      if (inside > 0) saved = std::max(saved, BytesOf(made));
    }
    if (!fits || saved < plan_.options_.band_bytes) continue;
    Band band{begin, end, {}, {}};
    if (Schedule(band)) return band;
  }
  return {begin, begin, {}, {}};
}

void StepBuilder::FindBands() {
  inner_.assign(lowered_.values.size(), false);
  for (int o = 0; o < static_cast<int>(lowered_.ops.size()); ++o) {
    Band band = LongestBand(o);
    if (band.end == o) continue;
    for (const BandStage& stage : band.stages) {
      if (stage.source >= 0) inner_[Writes(lowered_.ops[band.begin + stage.source].op).at(0)] = true;
    }
    o = band.end - 1;
    bands_.push_back(std::move(band));
  }
}

void StepBuilder::Build(const Band& band) {
  struct State {
    std::vector<Stage> stages;
    BandSchedule schedule;
    std::size_t windows = 0;  // bytes before the kernels' own scratch
  };
  auto state = std::make_shared<State>();
  state->schedule = band.schedule;
  const kernels::Kernels* const k = &kernels_;
  Step step{.items = static_cast<std::int64_t>(band.schedule.items.size())};
  for (int o = band.begin; o < band.end; ++o) {
    const NamedOperation& named = lowered_.ops[o];
    const int s = o - band.begin, id = Writes(named.op).at(0);
    Stage stage{.row_bytes = WindowRowBytes(named),
                .offset = state->windows,
                .source = band.stages[s].source,
                .in_window = IsInner(id)};
    std::string kernel;
    if (const auto* picture = std::get_if<PictureOp>(&named.op)) {
      PictureRows rows = MakePicture(*picture);
      kernel = rows.kernel;
      stage.run = [rows](const BandCall& call, std::byte*, std::byte* window, float*) {
        void* const base =
            window ? window - static_cast<std::ptrdiff_t>(call.origin * rows.row_bytes) : rows.base;
        for (int y = call.begin; y < call.end; ++y) rows.run(y, base);
      };
      step.bytes += 3.0 * rows.height * lowered_.values[id].width;
    } else if (const auto* pooled = std::get_if<PoolOp>(&named.op)) {
      const auto pool = MakePool(*pooled);
      kernel = "pool";
      stage.run = [pool, k, bytes = IsBytes(pooled->src)](const BandCall& call, std::byte* source,
                                                          std::byte* window, float*) {
        kernels::Pool part = *pool;
        if (bytes)
          TakeSource(call, source, part, part.src_bytes), TakeResult(call, window, part.dst_bytes);
        else
          TakeSource(call, source, part, part.src), TakeResult(call, window, part.dst);
        part.rows_per_item = call.end - call.begin, part.items = 1;
        k->pool(part, 0);
      };
    } else {
      const auto& op = std::get<ConvOp>(named.op);
      const bool integers = op.integers && kernels_.has_dot();
      kernel = fmt::format("{}x{}", op.weight.dim(2), op.weight.dim(3));
      if (integers) {
        const auto conv = MakeByteConv(named.name, op);
        stage.run = [conv, k, bytes = IsBytes(op.dst)](const BandCall& call, std::byte* source,
                                                       std::byte* window, float* scratch) {
          kernels::ByteConv part = *conv;
          TakeSource(call, source, part, part.src);
          if (bytes)
            TakeResult(call, window, part.dst);
          else
            TakeResult(call, window, part.floats);
          part.floats.height = call.end - call.begin;
          TakeAllPixels(call, part.floats.width, part);
          k->byte_conv(part, 0, scratch);
        };
        step.scratch = std::max(step.scratch, kernels_.byte_conv_scratch(*conv));
        step.integers = true;
      } else if (op.groups > 1) {
        const auto conv = MakeDepthwise(op, EpilogueOf(op));
        stage.run = [conv, k](const BandCall& call, std::byte* source, std::byte* window, float*) {
          kernels::DepthwiseConv part = *conv;
          TakeSource(call, source, part, part.src);
          TakeResult(call, window, part.dst);
          part.rows_per_item = call.end - call.begin, part.items = 1;
          k->depthwise_conv(part, 0);
        };
      } else {
        const auto conv = MakeDirect(named.name, op, kernels_, EpilogueOf(op));
        stage.run = [conv, k](const BandCall& call, std::byte* source, std::byte* window, float* scratch) {
          kernels::DirectConv part = *conv;
          TakeSource(call, source, part, part.src);
          TakeResult(call, window, part.dst);
          TakeAllPixels(call, part.dst.width, part);
          k->direct_conv(part, 0, scratch);
        };
        step.scratch = std::max(step.scratch, kernels_.direct_scratch(*conv));
      }
      step.macs += MacsOf(op);
      step.bytes += static_cast<double>(op.weight.size()) * (integers ? 1 : sizeof(float));
    }
    for (const int read : Reads(named.op)) {
      if (stage.source < 0) step.bytes += static_cast<double>(BytesOf(read));
    }
    if (!stage.in_window) step.bytes += static_cast<double>(BytesOf(id));
    // Kernels may read a block beyond a row's end.
    if (stage.in_window) state->windows += (band.schedule.window[s] * stage.row_bytes + 128) / 64 * 64;
    step.name += (s > 0 ? "+" : "") + named.name;
    step.kernel += (s > 0 ? ", " : "rows: ") + kernel;
    state->stages.push_back(std::move(stage));
  }
  step.scratch += state->windows / sizeof(float);
  step.run = [state](std::int64_t item, float* scratch) {
    auto* const windows = reinterpret_cast<std::byte*>(scratch);
    float* const own = scratch + state->windows / sizeof(float);
    const auto window_of = [&](int s) {
      return s >= 0 && state->stages[s].in_window ? windows + state->stages[s].offset : nullptr;
    };
    for (const BandCall& call : state->schedule.items[item]) {
      const Stage& stage = state->stages[call.stage];
      std::byte* const window = window_of(call.stage);
      if (call.keep > 0)
        std::memmove(window, window + call.moved * stage.row_bytes, call.keep * stage.row_bytes);
      stage.run(call, window_of(stage.source), window, own);
    }
  };
  Add(std::move(step));
}

}  // namespace frf::engine
