// SPDX-License-Identifier: Apache-2.0
// `frf eval --modules`: whether gates and masks do anything (modules.h), on the images of a split.
#include <fmt/format.h>

#include <algorithm>

#include "cli/cli.h"
#include "cli/eval.h"
#include "cli/modules.h"

namespace frf::cli {

std::string DescribeData(const Dataset& data, int count) {
  if (count >= data.size()) return data.description();
  return data.description() +
         (count == 1 ? ", the first image only" : fmt::format(", the first {} images only", count));
}

int RunEvalModules(const EvalArguments& arguments, const SegmenterOptions& options, const Model& model,
                   const Dataset& data) {
  ScoredImages images;
  const int count = arguments.limit > 0 ? std::min(arguments.limit, data.size()) : data.size();
  for (int i = 0; i < count; ++i) images.samples.push_back(data.Get(i));
  const std::string description = DescribeData(data, count);
  const ModulesReport report = MeasureModules(model, options, images);
  Json json = ToJson(report);
  json["model"] = arguments.model;
  json["data"] = description;
  if (arguments.json)
    PrintJson(json);
  else
    fmt::print("{} on {}\n{}", arguments.model, description, FormatModules(report));
  return 0;
}

}  // namespace frf::cli
