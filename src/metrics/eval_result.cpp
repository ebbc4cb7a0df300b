// SPDX-License-Identifier: Apache-2.0
#include "metrics/eval_result.h"

#include "base/stats.h"
#include "base/system.h"
#include "base/version.h"

namespace frf {

double TimeOf(std::vector<double> times) {
  if (times.size() > 1) times.erase(times.begin());
  return times.empty() ? 0 : Summarize(std::move(times)).median;
}

Json ToJson(const EvalFacts& facts, const ConfusionMatrix& matrix, const Classes& classes) {
  Json json = ToJson(matrix, classes);
  json["model"] = facts.model;
  json["data"] = facts.data;
  json["list"] = facts.list.empty() ? Json() : Json(facts.list);
  json["seed"] = facts.seed ? Json(*facts.seed) : Json();
  json["size"] = facts.size;
  json["resize"] = facts.resize;
  json["scales"] = facts.scales;
  json["flip"] = facts.flip;
  json["ms"] = facts.ms;
  json["threads"] = facts.threads;
  json["backend"] = facts.backend;
  json["arithmetic"] = facts.arithmetic;
  if (!facts.checkpoint.empty()) {
    json["weights"] = facts.weights;
    json["checkpoint"] = facts.checkpoint;
  }
  json["machine"] = ToJson(ThisMachine());
  json["version"] = Version();
  json["commit"] = Commit();
  return json;
}

}  // namespace frf
