// SPDX-License-Identifier: Apache-2.0
// What the parts of `frf bench` share: a case (a model at a size), the engines that run it, a row of the
// table.
//
//   BenchCase bench_case{...};                          // bench_verb.cpp
//   auto ours = MakeOurs(bench_case);                   // Contestants run one frame at a time
//   std::vector<BenchRow> rows = Measure(bench_case, ...);  // all of them in turns: bench_loop.cpp
//   PrintTable(...), ToJson(...), Markdown(...), PlotSvg(...)
//
// Subtle: "to labels" begins with 8-bit RGB pixels and ends with 8-bit labels at full size, whoever does the
// steps in between; "to scores" begins with normalised float planes and ends with full-size float scores.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/stats.h"
#include "frf/session.h"
#include "onnx/onnx_file.h"

namespace frf::cli {

// What these threads of this machine do at best, measured now.
struct Peaks {
  int threads = 1;
  double f32_gflops = 0, int8_gops = 0,
         copy_gbytes = 0;  // per second; a copied byte counts twice: read and written
  // What a cache line takes from one thread to another, nanoseconds: tens where they share a cache, hundreds
  // where they do not, which on a virtual machine changes from minute to minute. 0 with one thread.
  double handover_ns = 0;
};
Peaks MeasurePeaks(int threads);
std::string ToText(const Peaks& peaks);
Json ToJson(const Peaks& peaks);

// As the table calls the models: a network by its name, a file by its stem, a folder by its last part; those
// that would be called the same by the path that was given.
std::vector<std::string> CaseNames(const std::vector<std::string>& models);

struct BenchCase {
  std::string name;  // of CaseNames
  Model model;       // with class names, made up where the file has none
  std::shared_ptr<LoadedModel> loaded;
  int height = 0, width = 0, threads = 1;
  Precision precision = Precision::kFloat32;  // of frf; a peer's is in its name
  bool to_labels = true, tune = false;
  double macs = 0;
  Image picture;              // height x width
  std::vector<float> planes;  // the same, normalised

  bool bytes_in() const;  // the model itself takes 8-bit planes
  bool gives_labels() const;
  std::string size() const;
};

// What a frame gave. Scores are classes x height x width; labels are theirs or the model's own.
struct FrameResult {
  int height = 0, width = 0, classes = 0;
  std::vector<std::uint8_t> labels;
  std::vector<float> scores;  // to scores only
};

// One engine with one model at one size.
class Contestant {
 public:
  virtual ~Contestant() = default;
  virtual double Run() = 0;  // one frame; milliseconds. Throws kInternal when the engine fails
  virtual void Read(FrameResult& result) = 0;  // of the last frame; not timed
  virtual int process() const { return 0; }    // in which it runs; 0: this one
  std::string engine, version, file;           // "onnxruntime", "1.32.0", "8-bit in, labels out"
  int threads = 1;
  Precision precision = Precision::kFloat32;
};

// "frf" or, in another precision, "frf bf16".
std::string OurName(Precision precision);
bool IsOurs(const std::string& engine);
std::unique_ptr<Contestant> MakeOurs(const BenchCase& bench_case);

// A peer as its experts would set it up, with the faster of the files that it takes (bench_peer.cpp). Throws
// where it cannot run the case; the message names what is missing or what the peer said.
struct PeerOptions {
  std::string engine;          // one of PeerNames()
  std::filesystem::path venv;  // where its wheel is installed
};
std::unique_ptr<Contestant> MakePeer(const BenchCase& bench_case, const PeerOptions& options);
const std::vector<std::string>& PeerNames();

// --venv, FRF_PEERS_VENV, or .venv-peers in this folder or beside the program (its build folder's parents).
std::filesystem::path FindPeersVenv(const std::string& given);

struct BenchRow {
  std::string name, size, engine, version, file, error;  // error: why there are no times
  bool to_labels = true;
  int threads = 1;
  Precision precision = Precision::kFloat32;
  TimingStats ms;
  double macs = 0;
  double speedup =
      0;  // times as fast as the same engine with the fewest threads; 0: it is that, or there is no other
  // Share of equal labels in the worst of the timed frames, with frf's; frf's own with the plain executor's.
  // -1: unknown.
  double agreement = -1;
  double scores_difference = -1;  // largest, over the largest score; to scores only
  double fps() const { return ms.total > 0 ? ms.runs * 1000.0 / ms.total : 0; }
  double gflops() const { return ms.median > 0 ? 2 * macs / ms.median * 1e-6 : 0; }
  bool wide_spread() const { return error.empty() && ms.mad > 0.05 * ms.median; }
};

struct LoopOptions {
  int runs = 0;  // 0: 100, fewer where that takes a row more than `seconds`
  double seconds = 20;
  std::string title;  // of the progress bar
};
// Rows in the order of the contestants, the first of which is ours. They run the same case, be it with
// different threads.
std::vector<BenchRow> Measure(const BenchCase& bench_case,
                              const std::vector<std::unique_ptr<Contestant>>& contestants,
                              const LoopOptions& options);

// The plain executor's result for the case; without labels where it needs more memory than is allowed.
FrameResult ReferenceResult(const BenchCase& bench_case);

// Until no thread of these processes (0: this one) but the caller's runs, or a fifth of a second: thread
// pools spin for a while after their work, and would take a core from whoever comes next.
void WaitUntilQuiet(const std::vector<int>& processes);

std::string ThreadsText(const std::vector<int>& counts);  // "1 thread", "1 and 2 threads"

struct BenchReport {
  std::vector<BenchRow> rows;
  std::vector<Peaks> peaks;  // one for every count of threads, as --threads lists them
  bool to_labels = true;
  bool compared = false;  // with peers

  const Peaks& PeaksOf(const BenchRow& row) const;
  // The same network, size and threads on frf, in the precision that was named first; nullptr: it failed.
  const BenchRow* OursFor(const BenchRow& row) const;
  std::vector<int> threads() const;
};
void PrintTable(const BenchReport& report);
Json ToJson(const BenchReport& report);
std::string Markdown(const BenchReport& report);
std::string PlotSvg(const BenchReport& report);  // bench_plot.cpp

}  // namespace frf::cli
