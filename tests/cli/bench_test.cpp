// SPDX-License-Identifier: Apache-2.0
// `frf bench` and `frf info --plan` as a user runs them, and what stands around a peer's inference. Peers
// themselves are played by scripts here; tests/peers/bench_test.py has the real ones.

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <random>

#include "base/files.h"
#include "base/json.h"
#include "cli/bench_convert.h"
#include "data/synth.h"
#include "engine/kernels/kernels.h"
#include "image/image_io.h"
#include "image/transform.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::RunFrf;

// A virtual environment whose Python is a shell script: what it does is how a peer behaves.
void FakePython(const test::TempFolder& venv, const std::string& script) {
  std::filesystem::create_directories(venv.path() / "bin");
  WriteFileAtomically(venv / "bin/python", "#!/bin/sh\n" + script);
  std::filesystem::permissions(venv / "bin/python", std::filesystem::perms::owner_all);
}

// A comparison without any peer's result is printed, and no success.
Json RowsOfAFailure(const Finished& finished) {
  EXPECT_EQ(finished.code, 1) << finished.err;
  return ParseJson(finished.out, "standard output");
}

std::vector<std::string> Against(const std::string& peers, const test::TempFolder& venv) {
  return {"bench",  "frfnet-slim",        "--size", "64x96", "--runs", "2", "--against", peers,
          "--venv", venv.path().string(), "--json"};
}

TEST(BenchConvert, PlanesAreThoseOfPreprocess) {
  for (const auto& [height, width] : {std::pair(33, 47), {32, 4101}}) {
    const Image picture = DrawScene(5, {.height = height, .width = width}).image;
    const InputSpec input;
    std::vector<float> wanted(picture.bytes()), floats(picture.bytes());
    std::vector<std::uint8_t> bytes(picture.bytes());
    Preprocess(picture.view(), input, {height, width, height, width}, wanted.data());
    for (const int threads : {1, 3}) {
      cli::PlanarFloats(picture.view(), input, floats.data(), threads);
      cli::PlanarBytes(picture.view(), bytes.data(), threads);
      EXPECT_EQ(floats, wanted);
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t plane = static_cast<std::size_t>(height) * width;
        ASSERT_EQ(bytes[i], picture.pixels[i % plane * 3 + i / plane]);
      }
    }
  }
}

TEST(BenchConvert, ArgMaxTakesTheLowestOfEqualClasses) {
  constexpr int kPixels = 2051, kClasses = 5;  // a block and a little
  std::mt19937 random(1);
  std::vector<float> scores(kPixels * kClasses);
  for (float& score : scores)
    score = static_cast<float>(static_cast<int>(random() % 4) - 9);  // ties, all below zero
  scores[7] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::uint8_t> labels(kPixels, 99);
  cli::ArgMax(scores.data(), kClasses, kPixels, labels.data(), 2);
  for (int i = 0; i < kPixels; ++i) {
    if (i == 7) continue;
    int best = 0;
    for (int c = 1; c < kClasses; ++c) best = scores[c * kPixels + i] > scores[best * kPixels + i] ? c : best;
    ASSERT_EQ(labels[i], best) << i;
  }
  EXPECT_NE(labels[7], 0);  // NaN never wins
}

TEST(Bench, JsonHasTheContractsFields) {
  const Json row = ParsedOutput(
      RunFrf({"bench", "frfnet-slim", "--size", "64x96", "--runs", "3", "--threads", "1", "--json"}));
  ASSERT_TRUE(row.is_object());
  EXPECT_EQ(row["name"], "frfnet-slim");
  EXPECT_EQ(row["size"], "64x96");
  EXPECT_EQ(row["precision"], "f32");
  EXPECT_EQ(row["to"], "labels");
  EXPECT_EQ(row["threads"], 1);
  EXPECT_EQ(row["batch"], 1);
  EXPECT_EQ(row["runs"], 3);
  EXPECT_GT(row["fps"].get<double>(), 0);
  for (const char* key : {"median", "mad", "p90"}) EXPECT_GE(row["ms"][key].get<double>(), 0) << key;
  EXPECT_GT(row["peak_gops"].get<double>(), 0);
  EXPECT_GT(row["peaks"]["int8_gops"].get<double>(), 0);
  EXPECT_GT(row["peaks"]["copy_gbytes"].get<double>(), 0);
  EXPECT_GE(row["peaks"]["handover_ns"].get<double>(), 0);
  EXPECT_NEAR(row["efficiency"].get<double>(),
              2 * row["macs"].get<double>() / row["ms"]["median"].get<double>() * 1e-6 /
                  row["peak_gops"].get<double>(),
              1e-6);
  EXPECT_GT(row["agreement"].get<double>(), 0.99);
  EXPECT_TRUE(row["error"].is_null());
  EXPECT_FALSE(row["machine"]["cpu"].get<std::string>().empty());
  EXPECT_TRUE(row.contains("commit"));
}

// In 16 bits where this CPU has them (FP16 emulated): rows side by side, labels held against float32's.
TEST(Bench, PrecisionsSideBySide) {
  setenv("FRF_EMULATE_F16", "1", 1);
  const Finished finished = RunFrf(
      {"bench", "frfnet-slim-synth", "--size", "64x96", "--runs", "2", "--precision", "f32,f16", "--json"});
  unsetenv("FRF_EMULATE_F16");
  if (kernels::BestKernels().lanes != 16) {
    EXPECT_EQ(finished.code, 1);
    EXPECT_NE(finished.err.find("precision f16: a CPU with AVX-512 and FP16"), std::string::npos)
        << finished.err;
    return;
  }
  const Json rows = ParsedOutput(finished);
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows[0]["engine"], "frf");
  EXPECT_EQ(rows[0]["precision"], "f32");
  EXPECT_EQ(rows[1]["engine"], "frf f16");
  EXPECT_EQ(rows[1]["precision"], "f16");
  EXPECT_EQ(rows[1]["agreement_with"], "plain executor");
  EXPECT_GT(rows[1]["agreement"], 0.99);
  EXPECT_GT(rows[1]["times_frf"], 0);
}

TEST(Bench, ThreadCountsTakeTurnsAndShowTheSpeedUp) {
  const test::TempFolder folder;
  const Json rows = ParsedOutput(RunFrf(
      {"bench", "frfnet-slim", "--size", "64x96,96x64", "--runs", "3", "--threads", "2,1,2", "--json"}));
  ASSERT_EQ(rows.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    const Json& row = rows[i];
    EXPECT_EQ(row["size"], i < 2 ? "64x96" : "96x64");
    EXPECT_EQ(row["threads"], i % 2 == 0 ? 2 : 1);
    EXPECT_EQ(row["runs"], 3);
    EXPECT_GT(row["agreement"].get<double>(), 0.99);
    const double one = rows[i / 2 * 2 + 1]["ms"]["median"].get<double>();
    if (i % 2 == 0)
      EXPECT_NEAR(row["speedup"].get<double>(), one / row["ms"]["median"].get<double>(), 1e-9);
    else
      EXPECT_TRUE(row["speedup"].is_null());
    EXPECT_NEAR(row["efficiency"].get<double>() * row["peak_gops"].get<double>(),
                2 * row["macs"].get<double>() / row["ms"]["median"].get<double>() * 1e-6, 1e-6);
  }
  const Finished table = RunFrf(
      {"bench", "frfnet-slim", "--size", "64x96", "--runs", "2", "--threads", "1,2", "-o", folder / "out"});
  ASSERT_EQ(table.code, 0) << table.err;
  for (const char* text : {"1 and 2 threads", "speed-up", " with 1 thread: ", " with 2 threads: "}) {
    EXPECT_NE(table.out.find(text), std::string::npos) << text << "\n" << table.out;
  }
  EXPECT_NE(ReadFile(folder / "out/bench.svg").find("2 threads</text>"), std::string::npos);
}

TEST(Bench, ManyModelsAndSizesMakeOneTableAndFiles) {
  const test::TempFolder folder;
  const Finished finished = RunFrf({"bench", "frfnet-slim", "frfnet", "--size", "64x96,96x64", "--runs", "2",
                                    "--to", "scores", "-o", folder / "out"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  for (const char* text : {"2 thread", "to scores", "GFLOP/s", "frfnet-slim  64x96", "frfnet-slim  96x64",
                           "frfnet       64x96", "of peak"}) {
    if (std::string(text) == "2 thread") continue;  // as many as the machine has
    EXPECT_NE(finished.out.find(text), std::string::npos) << text << "\n" << finished.out;
  }
  const std::string markdown = ReadFile(folder / "out/bench.md"), svg = ReadFile(folder / "out/bench.svg");
  EXPECT_NE(markdown.find("| frfnet | 96x64 |"), std::string::npos) << markdown;
  EXPECT_NE(svg.find("96x64"), std::string::npos);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
}

TEST(Bench, WrongOptionsAreRefused) {
  const test::TempFolder folder;
  ASSERT_EQ(
      RunFrf({"export", "frfnet-slim", "--size", "64x96", "--argmax", "-o", folder / "fixed.onnx"}).code, 0);
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"bench"}, "model file or a network's name"},
      {{"bench", "frfnet", "--to", "masks"}, "--to"},
      {{"bench", "frfnet", "--size", "64"}, "--size"},
      {{"bench", "frfnet", "--size", "64x96,,96x64"}, "nothing stands between two commas"},
      {{"bench", "frfnet", "--threads", "1,two"}, "'two' is not a number"},
      {{"bench", "frfnet", "--threads", "1025"}, "from 0 to 1024"},
      {{"bench", "frfnet", "--step", "--threads", "1,2"}, "one number of --threads"},
      {{"bench", "frfnet", "--against", "caffe"}, "onnxruntime, openvino, openvino-bf16, ncnn"},
      {{"bench", "frfnet", "--against", "ncnn", "--venv", folder / "none"}, "no such folder"},
      {{"bench", folder / "fixed.onnx", "--size", "96x96"}, "fixed at 64x96"},
      {{"bench", folder / "fixed.onnx", "--to", "scores"}, "float input and scores"},
      {{"bench", folder / "fixed.onnx", "--net-options", "gates=relu"}, "--net-options"},
  };
  for (const auto& [words, part] : cases) {
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, 2) << finished.err;
    EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
    EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
    EXPECT_TRUE(finished.out.empty()) << finished.out;
  }
  const Finished absent = RunFrf({"bench", "no-such-model"});
  EXPECT_EQ(absent.code, 1);
  EXPECT_NE(absent.err.find("networks: frfnet, "), std::string::npos) << absent.err;
}

TEST(Bench, SaysWhichKernelsRan) {
  const Json row = ParsedOutput(
      RunFrf({"bench", "frfnet-slim", "--size", "64x96", "--runs", "1", "--json"}, "FRF_FORCE_ISA=baseline"));
  EXPECT_EQ(row["kernels"], "baseline, forced by FRF_FORCE_ISA");
}

TEST(Bench, AnAbsentPeerIsARowWithItsError) {
  const test::TempFolder venv;
  const Json rows = RowsOfAFailure(RunFrf(Against("openvino,onnxruntime,ncnn", venv)));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0]["engine"], "frf");
  EXPECT_TRUE(rows[0]["error"].is_null());
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(rows[i]["engine"], std::vector<std::string>({"openvino", "onnxruntime", "ncnn"})[i - 1]);
    EXPECT_NE(rows[i]["error"].get<std::string>().find("make peers"), std::string::npos) << rows[i];
    EXPECT_TRUE(rows[i]["ms"].is_null());
    EXPECT_TRUE(rows[i]["fps"].is_null());
  }
}

TEST(Bench, ALibraryThatIsNoneIsARowWithItsError) {
  const test::TempFolder venv;
  const std::filesystem::path folder = venv.path() / "lib/python3.11/site-packages/onnxruntime/capi";
  std::filesystem::create_directories(folder);
  WriteFileAtomically(folder / "libonnxruntime.so.1.0", "this is not a library");
  const Json rows = RowsOfAFailure(RunFrf(Against("onnxruntime", venv)));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_NE(rows[1]["error"].get<std::string>().find("libonnxruntime.so.1.0"), std::string::npos) << rows[1];
}

TEST(Bench, APeerThatCrashesOrTalksNonsenseIsARowWithItsError) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"echo some trouble >&2; kill -SEGV $$", "signal 11; its last words: some trouble"},
      {"exit 3", "code 3"},
      {"printf 'good morning\\n' >&4; sleep 9", "'ready' was expected, it said 'good morning'"},
      {"printf 'ready\\t1\\n' >&4; read -r line <&3; printf 'error\\tno such layer\\n' >&4", "no such layer"},
      {"printf 'ready\\t1\\n' >&4; read -r line <&3; printf 'ok\\tf32\\t1x19x8x8\\n' >&4; sleep 9",
       "8x8 for 64x96"},
      {"printf 'ready\\t1\\n' >&4; exec 3<&-; sleep 9 >&- 2>&- 4>&-", "ended"},
  };
  for (const auto& [script, part] : cases) {
    const test::TempFolder venv;
    FakePython(venv, script);
    const Json rows = RowsOfAFailure(RunFrf(Against("ncnn", venv)));
    ASSERT_EQ(rows.size(), 2U) << script;
    EXPECT_TRUE(rows[0]["error"].is_null());
    EXPECT_NE(rows[1]["error"].get<std::string>().find(part), std::string::npos) << script << "\n" << rows[1];
  }
}

// Scores of zero everywhere: every label is 0, and three milliseconds are claimed for that.
constexpr const char* kZeroPeer = R"(
tab=$(printf '\t')
printf 'ready\t9.9\n' >&4
while IFS=$tab read -r word model input output kind height width threads <&3; do
  case $word in
    load) truncate -s $((19 * height * width * 4)) "$output"; printf 'ok\tf32\t1x19x%dx%d\n' "$height" "$width" >&4 ;;
    run) printf 'ms\t3.000\n' >&4 ;;
  esac
done
)";

TEST(Bench, WrongLabelsOfAPeerShow) {
  const test::TempFolder venv, temporary;
  FakePython(venv, kZeroPeer);
  const Finished finished = RunFrf(Against("ncnn", venv), "TMPDIR=" + temporary.path().string());
  const Json rows = ParsedOutput(finished);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1]["version"], "9.9");
  EXPECT_TRUE(rows[1]["error"].is_null()) << rows[1];
  EXPECT_GE(rows[1]["ms"]["median"].get<double>(), 3.0);  // argmax and normalisation come on top
  EXPECT_LT(rows[1]["agreement"].get<double>(), 0.99);
  EXPECT_NE(finished.err.find("its time is of other work"), std::string::npos) << finished.err;
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

TEST(InfoPlan, StepsAddUpToAFrame) {
  const Json plan =
      ParsedOutput(RunFrf({"info", "frfnet-slim", "--plan", "--size", "64x96", "--threads", "1", "--json"}));
  EXPECT_GT(plan["steps"].size(), 20U);
  double ms = 0, macs = 0;
  for (const Json& step : plan["steps"]) {
    EXPECT_FALSE(step["name"].get<std::string>().empty());
    EXPECT_FALSE(step["kernel"].get<std::string>().empty());
    ms += step["ms"].get<double>();
    macs += step["macs"].get<double>();
  }
  EXPECT_NEAR(plan["sum"]["ms"].get<double>(), ms, 1e-6 * ms);
  const Json counted = ParsedOutput(RunFrf({"info", "frfnet-slim", "--size", "64x96", "--json"}));
  EXPECT_NEAR(macs, counted["macs"].get<double>(), 0.05 * macs);
  const Finished table = RunFrf({"info", "frfnet-slim", "--plan", "--size", "64x96"});
  for (const char* text : {"kernel", "GFLOP/s", "of peak", "GB/s", "sum", "upsample+argmax"}) {
    EXPECT_NE(table.out.find(text), std::string::npos) << text << table.out << table.err;
  }
}

}  // namespace
}  // namespace frf
