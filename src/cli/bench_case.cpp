// SPDX-License-Identifier: Apache-2.0
// A case of the benchmark, and frf itself as one of those who run it.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>

#include "base/version.h"
#include "cli/bench.h"
#include "cli/bench_convert.h"
#include "cli/cli.h"
#include "frf/error.h"
#include "graph/output.h"

namespace frf::cli {
namespace {

class Ours : public Contestant {
 public:
  explicit Ours(const BenchCase& bench_case)
      : case_(bench_case),
        session_(bench_case.loaded, {.height = bench_case.height,
                                     .width = bench_case.width,
                                     .threads = bench_case.threads,
                                     .tune = bench_case.tune,
                                     .precision = bench_case.precision}) {
    engine = OurName(bench_case.precision);
    precision = bench_case.precision;
    threads = bench_case.threads;
    version = Version();
    labels_ = {bench_case.height, bench_case.width, {}};
    if (bench_case.to_labels) {
      labels_.ids.resize(static_cast<std::size_t>(bench_case.height) * bench_case.width);
    } else {
      shape_ = session_.ScoresShape(bench_case.height, bench_case.width);
      scores_.resize(shape_.count());
    }
  }

  double Run() override {
    const auto start = std::chrono::steady_clock::now();
    if (case_.to_labels)
      session_.Run(case_.picture.view(), labels_.view());
    else
      session_.RunPlanes(case_.planes.data(), case_.height, case_.width, nullptr, scores_.data());
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }

  void Read(FrameResult& result) override {
    if (case_.to_labels) {
      result.height = case_.height, result.width = case_.width;
      result.labels = labels_.ids;
      return;
    }
    result.height = shape_.height, result.width = shape_.width, result.classes = shape_.classes;
    const std::int64_t pixels = std::int64_t{shape_.height} * shape_.width;
    result.labels.resize(pixels);
    ArgMax(scores_.data(), shape_.classes, pixels, result.labels.data(), case_.threads);
    result.scores = scores_;
  }

 private:
  const BenchCase& case_;
  Session session_;
  LabelImage labels_;
  Session::Shape shape_;
  std::vector<float> scores_;
};

std::string ShortName(const std::string& model) {
  namespace fs = std::filesystem;
  if (IsNet(model)) return model;
  if (!fs::is_directory(model)) return fs::path(model).stem().string();
  const fs::path folder = fs::path(model).lexically_normal();  // "runs/first/" ends in an empty part
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

}  // namespace

std::vector<std::string> CaseNames(const std::vector<std::string>& models) {
  std::vector<std::string> shorts, names;
  std::transform(models.begin(), models.end(), std::back_inserter(shorts), ShortName);
  for (std::size_t i = 0; i < models.size(); ++i)
    names.push_back(std::count(shorts.begin(), shorts.end(), shorts[i]) > 1 ? models[i] : shorts[i]);
  return names;
}

bool BenchCase::bytes_in() const { return model.graph.inputs.at(0).dtype == DType::kUint8; }

bool BenchCase::gives_labels() const { return MainOutput(model.graph).dtype != DType::kFloat32; }

std::string BenchCase::size() const { return fmt::format("{}x{}", height, width); }

std::string OurName(Precision precision) {
  return precision == Precision::kFloat32 ? "frf" : fmt::format("frf {}", NameOf(precision));
}

bool IsOurs(const std::string& engine) { return engine == "frf" || engine.starts_with("frf "); }

std::unique_ptr<Contestant> MakeOurs(const BenchCase& bench_case) {
  return std::make_unique<Ours>(bench_case);
}

}  // namespace frf::cli
