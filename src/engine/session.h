// SPDX-License-Identifier: Apache-2.0
// What stands behind frf::LoadedModel and frf::Session, for the programs of this repository: plans, their
// steps and times.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "base/model_info.h"
#include "engine/plan/plan.h"
#include "frf/session.h"
#include "graph/image_size.h"
#include "image/transform.h"
#include "onnx/onnx_file.h"

namespace frf {

// Why the graph's input is no image that can be labelled, with a remedy; empty where it is one.
std::string ImageInputFault(const Graph& graph);

// kUnsupported unless the graph has one input, an image; `file` starts the error.
void CheckImageInput(const Graph& graph, const std::string& file);

// kInvalidArgument where a network's input of that size was asked for and a side is fixed (0: free) at
// another length, or free and no multiple of frf.input.multiple; `file` starts the error.
void CheckInputSize(const InputSpec& input, SizePair fixed, int height, int width, const std::string& file);

// Warns, each time it is called, of what labels of this file may not be what is wanted by: one score a pixel,
// which leaves nothing to choose from, and an output that was read because it is the first. `file` starts
// each line.
void WarnOfOutput(const Classes& classes, const Graph& graph, const std::string& file);

Precision PrecisionNamed(const std::string& name);  // as NameOf calls it; kUsage for any other

struct [[gnu::visibility("hidden")]] LoadedModel::Impl {  // hidden: not for those who link libfrf.so
  ModelInfo info;
  Metadata metadata;                      // info's strings
  std::string name;                       // of its file, for errors
  int fixed_height = 0, fixed_width = 0;  // 0: free; one may be and the other not
  bool gives_labels = false;
  engine::WeightStore weights;

  // PrepareOnce'd; shapes as the file declares them. A file of one fixed size is planned once, as a rule: its
  // graph then goes, and with it a second copy of the weights, and is read again should another session want
  // it.
  std::shared_ptr<const Graph> GraphToPlan();
  void Planned();
  std::mutex mutex;
  std::shared_ptr<const Graph> graph;
  std::string path;             // empty: not from a file, the graph stays
  bool one_session = false;     // nobody else plans: it need not be read again
  std::uint64_t file_hash = 0;  // a file that has changed since is refused: packed weights are the old one's
};

struct [[gnu::visibility("hidden")]] Session::Impl {
  std::shared_ptr<LoadedModel> model;
  SessionOptions options;
  kernels::PictureTable table{};  // from the file's mean and deviation
  struct Planned {
    int height, width;
    std::unique_ptr<engine::Plan> plan;
  };
  std::list<Planned> plans;  // the last four sizes, latest first
  // How labels of another size come from a plan's map; for the last request.
  struct Resize {
    const engine::Plan* plan = nullptr;
    double content_height = 0, content_width = 0;  // of the plan's output
    int height = 0, width = 0;
    bool fits = false;
    std::vector<kernels::WideTap> rows, columns;
  } resize;
  std::vector<float> planes, scores;
  std::vector<std::uint8_t> rgb;  // pictures of four channels or one
  LabelImage small;

  engine::Plan& PlanFor(int height, int width);
  NetworkSize SizeFor(int image_height, int image_width) const;
  void RunTo(engine::Plan & plan, const engine::PlanInput& input, const NetworkSize& size,
             const LabelView& labels);
};

}  // namespace frf
