// SPDX-License-Identifier: Apache-2.0
// What stands behind frf::LoadedModel and frf::Session, for the programs of this repository: plans, their steps and times.
#pragma once

#include <list>

#include "base/model_info.h"
#include "engine/plan/plan.h"
#include "frf/session.h"
#include "image/transform.h"
#include "onnx/onnx_file.h"

namespace frf {

struct [[gnu::visibility("hidden")]] LoadedModel::Impl {  // hidden: not for those who link libfrf.so
  ModelInfo info;
  Graph graph;  // PrepareOnce'd; shapes as the file declares them
  int fixed_height = 0, fixed_width = 0;  // 0: free
  engine::WeightStore weights;
};

struct [[gnu::visibility("hidden")]] Session::Impl {
  std::shared_ptr<LoadedModel> model;
  SessionOptions options;
  std::vector<float> table;  // 3 x 256 by R, G, B, from the file's mean and deviation
  struct Planned {
    int height, width;
    std::unique_ptr<engine::Plan> plan;
  };
  std::list<Planned> plans;  // the last four sizes, latest first
  // How labels of another size come from a plan's map; for the last request.
  struct Resize {
    const engine::Plan* plan = nullptr;
    int content_height = 0, content_width = 0, height = 0, width = 0;
    bool fits = false;
    std::vector<kernels::WideTap> rows, columns;
  } resize;
  std::vector<float> planes, scores;
  LabelImage small;

  engine::Plan& PlanFor(int height, int width);
  NetworkSize SizeFor(int image_height, int image_width) const;
  void RunTo(engine::Plan& plan, const engine::PlanInput& input, int content_height, int content_width, const LabelView& labels);
};

}  // namespace frf
