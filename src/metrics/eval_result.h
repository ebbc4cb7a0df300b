// SPDX-License-Identifier: Apache-2.0
// What `frf eval --json` prints: one document, whichever backend scored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "metrics/confusion.h"

namespace frf {

// What was scored and how; the scores are the matrix's.
struct EvalFacts {
  std::string model;
  std::string data;                   // for people: "camvid val, 101 images"
  std::string list;                   // the list file's name; empty: a split
  std::optional<std::uint64_t> seed;  // of drawn scenes or new skies
  std::string size;                   // at which the network saw the pictures, "native" where they differ
  std::string resize = "bilinear";    // of the pictures; "area" where larger ones were averaged down
  std::vector<double> scales{1};      // views whose probabilities were averaged
  bool flip = false;                  // each also mirrored
  double ms = 0;                      // TimeOf the images, from the picture to its labels
  int threads = 1;
  std::string backend, arithmetic;
  std::string weights, checkpoint;  // of a run folder: ema or raw; best or last
};

// An image's time: the median, without the first one's planning where there are others; 0 for none.
double TimeOf(std::vector<double> times);

// The facts, the scores, the machine, and the program's version and commit.
Json ToJson(const EvalFacts& facts, const ConfusionMatrix& matrix, const Classes& classes);

}  // namespace frf
