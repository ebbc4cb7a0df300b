// SPDX-License-Identifier: Apache-2.0
// A quantised file as training under its rounding starts from it (`frf train --qat`).
#pragma once

#include <string>

#include "base/model_info.h"
#include "graph/quantization.h"

namespace frf::cli {

struct QatStart {
  Graph graph;  // as ReadyToTrain makes it of the network that the file names, with the file's weights as
                // floats
  QuantizationTable table;
  ModelInfo info;
};

// `init`: the float model that the file was made of (ONNX file, name of shipped weights or run folder), whose
// weights then stand in the place of rounded ones; empty: the file's own integers are the start. Throws where
// the file is not quantised, says no network that frf knows, or does not fit it, and where `init` is not its
// origin.
QatStart ReadQatStart(const std::string& file, const std::string& init);

}  // namespace frf::cli
