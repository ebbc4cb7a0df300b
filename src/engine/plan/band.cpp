// SPDX-License-Identifier: Apache-2.0
#include "engine/plan/band.h"

#include <algorithm>
#include <cstdint>

namespace frf::engine {
namespace {

struct Rows {
  int begin = 0, end = 0;
  bool empty() const { return begin >= end; }
};

int Share(int rows, int part, int parts) { return static_cast<int>(std::int64_t{rows} * part / parts); }

// What a stage reads to compute `rows` of its result, inside a source of `height` rows.
Rows Needed(const BandStage& stage, const Rows& rows, int height) {
  const int begin = rows.begin * stage.stride - stage.pad;
  const int end = (rows.end - 1) * stage.stride - stage.pad + (stage.kernel - 1) * stage.dilation + 1;
  return {std::clamp(begin, 0, height), std::clamp(end, 0, height)};
}

struct Window {
  int origin = 0, made = 0;  // its first row, and the first that is not there yet
  bool begun = false;
};

}  // namespace

BandSchedule ScheduleBand(const std::vector<BandStage>& stages, int ticks, int items, bool slack) {
  const auto count = static_cast<int>(stages.size());
  std::vector<bool> read(count, false);
  for (const BandStage& stage : stages) {
    if (stage.source >= 0) read[stage.source] = true;
  }
  BandSchedule schedule{.items = std::vector<std::vector<BandCall>>(items),
                        .window = std::vector<int>(count, 0)};
  std::vector<int> kept(count, 0), fresh(count, 0);  // most rows that a tick needs at once, and that it adds
  // The same walk twice: how large windows must be, then the calls.
  for (const bool measuring : {true, false}) {
    for (int item = 0; item < items; ++item) {
      std::vector<Window> windows(count);
      for (int tick = Share(ticks, item, items); tick < Share(ticks, item + 1, items); ++tick) {
        std::vector<Rows> adds(count), needs(count);
        for (int s = count - 1; s >= 0; --s) {
          const BandStage& stage = stages[s];
          if (!read[s]) {
            adds[s] = {Share(stage.height, tick, ticks), Share(stage.height, tick + 1, ticks)};
          } else if (!needs[s].empty()) {
            if (!windows[s].begun) windows[s] = {needs[s].begin, needs[s].begin, true};
            adds[s] = {std::max(windows[s].made, needs[s].begin), needs[s].end};
          }
          if (adds[s].empty() || stage.source < 0) continue;
          const Rows source = Needed(stage, adds[s], stages[stage.source].height);
          Rows& all = needs[stage.source];
          if (source.empty()) continue;
          all = all.empty() ? source : Rows{std::min(all.begin, source.begin), std::max(all.end, source.end)};
        }
        for (int s = 0; s < count; ++s) {
          if (adds[s].empty()) continue;
          Window& window = windows[s];
          BandCall call{.stage = s, .begin = adds[s].begin, .end = adds[s].end};
          if (read[s]) {
            kept[s] = std::max(kept[s], adds[s].end - needs[s].begin);
            fresh[s] = std::max(fresh[s], adds[s].end - adds[s].begin);
            if (!measuring && adds[s].end - window.origin > schedule.window[s]) {
              call.moved = needs[s].begin - window.origin;
              call.keep = std::max(0, window.made - needs[s].begin);
              window.origin = needs[s].begin;
            }
            window.made = adds[s].end;
            call.origin = window.origin;
          }
          if (measuring) continue;
          if (stages[s].source >= 0) {
            call.source_origin = windows[stages[s].source].origin;
            call.source_end = windows[stages[s].source].made;
          }
          schedule.items[item].push_back(call);
        }
      }
    }
    for (int s = 0; s < count; ++s)
      schedule.window[s] = read[s] ? std::min(kept[s] + (slack ? fresh[s] : 0), stages[s].height) : 0;
  }
  return schedule;
}

}  // namespace frf::engine
