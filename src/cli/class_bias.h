// SPDX-License-Identifier: Apache-2.0
// Numbers added to a network's scores by class, inside its classifier: a class with more is named more often.
// What `frf export --class-bias` does.
//
//   AddClassBias(model, ParseClassBias("pedestrian=0.5,fence=-1", model.info.classes));
#pragma once

#include <string>
#include <vector>

#include "base/model_info.h"
#include "onnx/onnx_file.h"

namespace frf::cli {

// "NAME=NUMBER,...": a number for every class, 0 where none is given. Throws kUsage naming what is wrong.
std::vector<float> ParseClassBias(const std::string& text, const Classes& classes);

// Adds them to the bias of the convolution that the scores come from, in float32. Notes them in info.train
// and drops the scores of evaluations, which were of other labels. Throws kUnsupported where scores come from
// something else.
void AddClassBias(Model& model, const std::vector<float>& bias);

}  // namespace frf::cli
