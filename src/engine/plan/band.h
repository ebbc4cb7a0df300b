// SPDX-License-Identifier: Apache-2.0
// Bands: consecutive operations of which each reads rows of the one before, run a few rows at a time, so that
// the maps between them never leave L2. The start of a network is the case: its maps are its largest, and its
// arithmetic the least.
//
// Subtle: an item is many rows, and goes down them in ticks. What the next tick reads again (a kernel's
// overlap) stays in the stage's window; only at an item's first tick rows are computed that the item above
// has computed too.
#pragma once

#include <cstddef>
#include <vector>

namespace frf::engine {

struct BandStage {  // one operation, along rows
  int source = -1;  // the stage whose result it reads; -1: something whole in memory
  int kernel = 1, stride = 1, dilation = 1, pad = 0;
  int height = 1;  // rows of its result
};

// Rows [begin, end) of a stage's result. Before it, rows [moved, moved + keep) of its window move to the
// front.
struct BandCall {
  int stage = 0, begin = 0, end = 0;
  int moved = 0, keep = 0;
  int origin = 0;                         // row of the result that stands first in its window
  int source_origin = 0, source_end = 0;  // rows that stand in the source's window; of a whole source unused
};

struct BandSchedule {
  std::vector<std::vector<BandCall>> items;
  std::vector<int> window;  // rows by stage; 0: the result goes to memory
};

// Results that no stage reads go to memory; their rows are shared out over `ticks` ticks (at most the
// smallest number of such rows) and these over `items` items. With `slack`, windows have room for a tick
// more: rows move to the front every second tick.
BandSchedule ScheduleBand(const std::vector<BandStage>& stages, int ticks, int items, bool slack);

}  // namespace frf::engine
