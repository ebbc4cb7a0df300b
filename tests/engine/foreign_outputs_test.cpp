// SPDX-License-Identifier: Apache-2.0
// Files that others exported: several outputs, outputs of another size than the input, ids that are no class,
// one side fixed, a first convolution that reaches far beyond the picture; and that a session keeps to its
// number of threads.
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <filesystem>

#include "engine/plan/prepare.h"
#include "engine/segmenter.h"
#include "engine/session.h"
#include "engine/small_model.h"
#include "frf/error.h"
#include "graph/builder.h"
#include "graph/output.h"
#include "onnx/onnx_file.h"

namespace frf::test {
namespace {

using Outputs = std::vector<std::string>;

Model Stamped(Graph graph, int classes = 3, int multiple = 1) {
  graph.Validate();
  Model model;
  model.graph = std::move(graph);
  model.file = "foreign.onnx";
  for (int id = 0; id < classes; ++id) model.info.classes.names.push_back(std::string(1, 'a' + id));
  model.info.classes.palette.resize(classes);
  model.info.input = {.fit = Fit::kNative, .multiple = multiple};
  model.info.input.mean = {0, 0, 0};
  model.info.input.std = {1, 1, 1};
  return model;
}

// A convolution for each output, of that stride.
Graph Heads(const Outputs& names, const std::vector<int>& strides, int classes = 3) {
  Builder g("g");
  const Value image = g.Input("image", 3);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const ConvSpec conv{.name = names[i] + ".conv", .out = classes, .kernel = 3, .stride = strides[i]};
    g.Output(g.Conv(image, conv), names[i], OutputRole::kScores);
  }
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  return graph;
}

// In place of its scores, `labels` of that type: [Cast <-] ArgMax.
Graph EndedInLabels(Graph graph, DType type, bool keep = false) {
  const std::string scores = graph.outputs.at(0).name;
  Node best{.name = "best", .op = "ArgMax", .inputs = {scores}, .outputs = {"ids"}};
  best.attributes["axis"] = std::int64_t{1};
  best.attributes["keepdims"] = std::int64_t{keep};
  Node cast{.name = "cast", .op = "Cast", .inputs = {"ids"}, .outputs = {"labels"}};
  cast.attributes["to"] = std::int64_t{OnnxType(type)};
  graph.nodes.push_back(best);
  graph.nodes.push_back(cast);
  graph.outputs = {{.name = "labels", .dtype = type}};
  return graph;
}

// Labels that are the picture's red channel times a factor, rounded down.
Graph RedAsLabel(float factor) {
  Builder g("g");
  g.Output(g.Conv(g.Input("image", 3), {.name = "red", .out = 1}), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  graph.FindInitializer("red.weight")->value = Tensor::Of<float>({1, 3, 1, 1}, {factor, 0, 0});
  Node cast{.name = "cast", .op = "Cast", .inputs = {"scores"}, .outputs = {"labels"}};
  cast.attributes["to"] = std::int64_t{OnnxType(DType::kInt64)};
  graph.nodes.push_back(cast);
  graph.outputs = {{.name = "labels", .dtype = DType::kInt64}};
  return graph;
}

Session Engine(const Model& model, const SessionOptions& options = {.threads = 2}) {
  return Session(std::make_shared<LoadedModel>(model), options);
}

double Share(const LabelImage& a, const LabelImage& b) {
  EXPECT_EQ(a.height, b.height);
  EXPECT_EQ(a.width, b.width);
  if (a.ids.size() != b.ids.size()) return 0;
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.ids.size(); ++i) same += a.ids[i] == b.ids[i];
  return static_cast<double>(same) / static_cast<double>(a.ids.size());
}

void ExpectPlainAgrees(const Model& model, const Image& image) {
  Segmenter plain(model, {.threads = 2, .plain = true});
  EXPECT_GT(Share(Engine(model).Run(image.view()), plain.Run(image.view())), 0.999);
}

TEST(ForeignOutputs, OneOutputIsReadByItsNameElseTheFirst) {
  const std::vector<int> same{1, 1}, smaller{2, 1}, last{1, 2};
  struct Case {
    Outputs names;
    std::vector<int> strides;
    std::string used;
  };
  const Case cases[] = {{{"aux", "scores"}, same, "scores"},   {{"aux", "scores"}, smaller, "scores"},
                        {{"scores", "aux"}, last, "scores"},   {{"scores", "labels"}, last, "scores"},
                        {{"main", "deep"}, last, "main"},      {{"main", "deep", "aux"}, {1, 1, 4}, "main"},
                        {{"low", "labels"}, smaller, "labels"}};
  const Image image = Photo(24, 36);
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("{} of {}", c.used, fmt::join(c.names, ", ")));
    const Graph graph = Heads(c.names, c.strides);
    EXPECT_EQ(MainOutput(graph).name, c.used);
    Graph alone = graph;
    alone.outputs = {MainOutput(graph)};
    const Model model = Stamped(graph);
    Session session = Engine(model), wanted = Engine(Stamped(alone.ForInference()));
    EXPECT_EQ(session.Run(image.view()).ids, wanted.Run(image.view()).ids);
    ExpectPlainAgrees(model, image);

    const Session::Shape shape = session.ScoresShape(24, 36);
    EXPECT_EQ(shape.height, 24);
    EXPECT_EQ(shape.width, 36);
    const Tensor planes = RandomTensor({1, 3, 24, 36}, 4);
    std::vector<float> scores(shape.count() * 2, 777.0f), expected(shape.count());
    session.RunPlanes(planes.data<float>(), 24, 36, nullptr, scores.data());
    wanted.RunPlanes(planes.data<float>(), 24, 36, nullptr, expected.data());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), scores.begin()));
    EXPECT_TRUE(std::all_of(scores.begin() + static_cast<std::ptrdiff_t>(shape.count()), scores.end(),
                            [](float score) { return score == 777.0f; }))
        << "written past the room that ScoresShape asks for";
  }
}

TEST(ForeignOutputs, PlanKeepsNothingOfOtherOutputs) {
  const Graph once = engine::PrepareOnce(Heads({"aux", "scores"}, {1, 1}));
  EXPECT_EQ(once.nodes.size(), 1u);
  EXPECT_EQ(once.FindInitializer("aux.conv.weight"), nullptr);
}

// Labels of scores at another size than the input's, by the definition: half-pixel bilinear, of the part that
// speaks of the picture.
LabelImage NaiveLabels(const std::vector<float>& scores, const Session::Shape& s, double rows, double columns,
                       int height, int width) {
  const auto at = [](int i, double from, int to) { return std::max(0.0, (i + 0.5) * from / to - 0.5); };
  LabelImage labels{height, width, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double py = at(y, rows, height), px = at(x, columns, width);
      const int top = static_cast<int>(py), left = static_cast<int>(px);
      const int bottom = std::min(top + 1, static_cast<int>(std::ceil(rows)) - 1),
                right = std::min(left + 1, static_cast<int>(std::ceil(columns)) - 1);
      int best = 0;
      double most = -1e30;
      for (int c = 0; c < s.classes; ++c) {
        const auto value = [&](int row, int column) {
          return scores[(static_cast<std::size_t>(c) * s.height + row) * s.width + column];
        };
        const double fy = py - top, fx = px - left;
        const double score = (1 - fy) * ((1 - fx) * value(top, left) + fx * value(top, right)) +
                             fy * ((1 - fx) * value(bottom, left) + fx * value(bottom, right));
        if (score > most) most = score, best = c;
      }
      labels.ids.push_back(static_cast<std::uint8_t>(best));
    }
  }
  return labels;
}

TEST(ForeignOutputs, ScoresOfAnotherSizeBecomeLabelsOfThePictures) {
  struct Case {
    int stride, multiple, height, width;
    double rows, columns;  // of the output, that speak of the picture
  };
  const Case cases[] = {{4, 1, 40, 60, 10, 15},
                        {4, 1, 41, 63, 11, 16},
                        {2, 1, 40, 60, 20, 30},
                        {4, 32, 50, 70, 12.5, 17.5},
                        {4, 32, 64, 96, 16, 24}};
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("stride {}, multiple {}, {}x{}", c.stride, c.multiple, c.height, c.width));
    const Model model = Stamped(Heads({"scores"}, {c.stride}), 3, c.multiple);
    Session session = Engine(model);
    const Image image = Photo(c.height, c.width);
    const LabelImage labels = session.Run(image.view());
    const Session::Size input = session.InputSize(c.height, c.width);
    const LabelImage wanted =
        NaiveLabels(session.Scores(image.view()), session.ScoresShape(input.height, input.width), c.rows,
                    c.columns, c.height, c.width);
    EXPECT_GT(Share(labels, wanted), 0.999);
    ExpectPlainAgrees(model, image);
  }
}

TEST(ForeignOutputs, PlanesBecomeLabelsOfAnySizeToo) {
  Session session = Engine(Stamped(Heads({"scores"}, {4})));
  const Tensor planes = RandomTensor({1, 3, 40, 60}, 4);
  LabelImage labels{40, 60, std::vector<std::uint8_t>(40 * 60, 99)};
  const LabelView view = labels.view();
  session.RunPlanes(planes.data<float>(), 40, 60, &view, nullptr);
  std::vector<float> scores(session.ScoresShape(40, 60).count());
  session.RunPlanes(planes.data<float>(), 40, 60, nullptr, scores.data());
  EXPECT_GT(Share(labels, NaiveLabels(scores, session.ScoresShape(40, 60), 10, 15, 40, 60)), 0.999);
}

TEST(ForeignOutputs, LabelsOfAnotherSizeAreRepeated) {
  for (const DType type : {DType::kUint8, DType::kInt64, DType::kInt32}) {
    for (const int multiple : {1, 32}) {
      SCOPED_TRACE(fmt::format("{}, multiple {}", Name(type), multiple));
      const Graph scores = Heads({"scores"}, {4});
      const Model model = Stamped(EndedInLabels(scores, type, multiple == 1), 3, multiple);
      const int height = 52, width = 72;  // a quarter is whole, padded or not: 13 and 18
      const Image image = Photo(height, width);
      const LabelImage labels = Engine(model).Run(image.view());
      Session with_scores = Engine(Stamped(scores, 3, multiple));
      const Session::Size input = with_scores.InputSize(height, width);
      const Session::Shape shape = with_scores.ScoresShape(input.height, input.width);
      const std::vector<float> at = with_scores.Scores(image.view());
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          int best = 0;
          const auto score = [&](int c) {
            return at[(static_cast<std::size_t>(c) * shape.height + y / 4) * shape.width + x / 4];
          };
          for (int c = 1; c < 3; ++c) best = score(c) > score(best) ? c : best;
          ASSERT_EQ(labels.at(y, x), best) << y << ", " << x;
        }
      }
      ExpectPlainAgrees(model, image);
    }
  }
}

TEST(ForeignOutputs, IdsThatAreNoClassAreRefusedByName) {
  struct Case {
    float factor;
    std::uint8_t red;
    const char* seen;  // null: fine
  };
  const Case cases[] = {{1, 2, nullptr},       {1, 3, "label 3;"},   {1, 200, "label 200;"},
                        {2, 150, "label 300"}, {-1, 1, "label -1;"}, {1, 255, nullptr}};  // void
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("{} times {}", c.factor, c.red));
    const Model model = Stamped(RedAsLabel(c.factor));
    Image image{.height = 8, .width = 10};
    image.pixels.assign(image.bytes(), 0);
    image.at(5, 7)[0] = c.red;
    Session session = Engine(model);
    Segmenter plain(model, {.threads = 1, .plain = true});
    for (const int side : {8, 20}) {  // the labels' own size, and another
      LabelImage labels{side, side + 2, std::vector<std::uint8_t>(side * (side + 2))};
      if (c.seen) {
        EXPECT_FRF_ERROR(session.Run(image.view(), labels.view()), ErrorCode::kCorruptFile, c.seen);
        EXPECT_FRF_ERROR(session.Run(image.view(), labels.view()), ErrorCode::kCorruptFile,
                         "foreign.onnx: output 'labels'");
        EXPECT_FRF_ERROR(plain.Run(image.view()), ErrorCode::kCorruptFile, c.seen);
        continue;
      }
      session.Run(image.view(), labels.view());
      EXPECT_EQ(*std::max_element(labels.ids.begin(), labels.ids.end()), c.red);
    }
  }
}

TEST(ForeignOutputs, IdsCastToBoolAreZeroOrOne) {  // "anything but the background"
  Graph graph = EndedInLabels(Heads({"scores"}, {1}), DType::kUint8);
  graph.nodes[graph.nodes.size() - 1].inputs = {"any"};
  Node any{.name = "any", .op = "Cast", .inputs = {"ids"}, .outputs = {"any"}};
  any.attributes["to"] = std::int64_t{OnnxType(DType::kBool)};
  graph.nodes.insert(graph.nodes.end() - 1, any);
  const Image image = Photo(24, 40);
  const Model model = Stamped(graph);
  const LabelImage labels = Engine(model).Run(image.view());
  EXPECT_EQ(*std::max_element(labels.ids.begin(), labels.ids.end()), 1);
  EXPECT_EQ(labels.ids, Segmenter(model, {.threads = 1, .plain = true}).Run(image.view()).ids);
}

// What follows the normalisation of an 8-bit picture is another step, element by element too.
TEST(ForeignOutputs, AnActivationMayFollowTheNormalisationInTheFile) {
  Builder g("g");
  const Value image = g.Input("image", 3);
  const Value mean = g.Constant("mean", Tensor::Scalar(100.0f)),
              scale = g.Constant("scale", Tensor::Scalar(0.02f));
  const Value normal = g.Mul(g.Sub(g.Relu(image), mean), scale);
  const Value bent = g.Add(g.LeakyRelu(normal, 0.3f), normal);
  g.Output(g.Conv(bent, {.name = "head", .out = 3, .kernel = 3}), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  graph.inputs[0].dtype = DType::kUint8;
  graph.nodes[0].op = "Cast";  // in place of the Relu
  graph.nodes[0].attributes["to"] = std::int64_t{OnnxType(DType::kFloat32)};
  const Model model = Stamped(graph);
  const Image picture = Photo(24, 40);
  EXPECT_EQ(Engine(model).Run(picture.view()).ids,
            Segmenter(model, {.threads = 1, .plain = true}).Run(picture.view()).ids);
}

TEST(ForeignOutputs, ArgmaxOverMoreScoresThanClassesIsHeldToTheClasses) {
  const Image image = Photo(24, 36);
  Graph graph = EndedInLabels(Heads({"scores"}, {1}, 5), DType::kUint8);
  Tensor bias = Tensor::Zeros(DType::kFloat32, {5});
  graph.initializers.push_back({.name = "bias", .init = Init::kGiven, .value = bias});
  graph.nodes[0].inputs.push_back("bias");
  bias.data<float>()[1] = 1e6f;  // tensors share their numbers: the graph's too
  EXPECT_EQ(Engine(Stamped(graph)).Run(image.view()).ids, std::vector<std::uint8_t>(24 * 36, 1));
  bias.data<float>()[4] = 2e6f;
  EXPECT_FRF_ERROR(Engine(Stamped(graph)).Run(image.view()), ErrorCode::kCorruptFile,
                   "foreign.onnx: output 'labels' gives label 4;");
}

TEST(ForeignOutputs, OneSideMayBeFixed) {
  for (const bool height : {true, false}) {
    SCOPED_TRACE(height ? "height fixed" : "width fixed");
    Graph graph = Heads({"scores"}, {1});
    graph.inputs[0].shape[height ? 2 : 3] = 40;
    const Model model = Stamped(graph);
    const auto size = [&](int free) { return height ? std::pair{40, free} : std::pair{free, 40}; };
    Segmenter segmenter(model, {.threads = 2});
    for (const int free : {60, 80, 60, 100}) {
      const auto [h, w] = size(free);
      const Image image = Photo(h, w, free);
      EXPECT_EQ(segmenter.Run(image.view()).ids, Engine(model).Run(image.view()).ids);
      ExpectPlainAgrees(model, image);
    }
    const auto [h, w] = size(72);
    const Session::Size input = Engine(model, {.height = h, .width = w, .threads = 1}).InputSize(300, 300);
    EXPECT_EQ(std::pair(input.height, input.width), size(72));
    const auto [odd_h, odd_w] = height ? std::pair{50, 72} : std::pair{72, 50};
    const std::string fixed = height ? "fixed at 40x?, 50x72" : "fixed at ?x40, 72x50";
    EXPECT_FRF_ERROR(Engine(model, {.height = odd_h, .width = odd_w, .threads = 1}),
                     ErrorCode::kInvalidArgument, fixed);
    EXPECT_FRF_ERROR(Segmenter(model, {.height = odd_h, .width = odd_w, .plain = true}),
                     ErrorCode::kInvalidArgument, fixed);
    EXPECT_FRF_ERROR(Engine(model).ScoresShape(odd_h, odd_w), ErrorCode::kInvalidArgument, fixed);
    EXPECT_EQ(Engine(model).ScoresShape(h, w).height, h);
  }
}

TEST(ForeignOutputs, FirstConvolutionMayReachFarBeyondThePicture) {
  const ConvSpec specs[] = {
      {.name = "far", .out = 4, .kernel = 3, .pad = 100},  // FCN-8s
      {.name = "tall", .out = 4, .kernel = 3, .dilation = 40, .dilation_w = 1, .pad = 40},
      {.name = "wide", .out = 4, .kernel = 1, .kernel_w = 81, .pad = 40},
      {.name = "strided", .out = 4, .kernel = 7, .stride = 4, .pad = 50},
      {.name = "near", .out = 4, .kernel = 3, .pad = 16}};
  for (const ConvSpec& spec : specs) {
    SCOPED_TRACE(spec.name);
    Builder g("g");
    const Value first = g.Relu(g.Conv(g.Input("image", 3), spec));
    g.Output(g.Conv(first, {.name = "last", .out = 3}), "scores", OutputRole::kScores);
    Graph graph = std::move(g).Build();
    InitializeWeights(graph, 5);
    ExpectPlainAgrees(Stamped(graph), Photo(40, 60));
  }
}

// Every way of resizing that the operator's text knows but a roi, by way of a file.
TEST(ForeignOutputs, EveryWayOfResizingIsReadAndRuns) {
  const Image image = Photo(40, 52);
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    for (const char* coordinates : {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                    "align_corners", "asymmetric", "tf_half_pixel_for_nn"}) {
      SCOPED_TRACE(fmt::format("{}, {}", mode, coordinates));
      Builder g("g");
      const Value small = g.Conv(g.Input("image", 3), {.name = "c", .out = 3, .kernel = 3, .stride = 2});
      g.Output(g.ResizeBy(small, 2, mode, coordinates), "scores", OutputRole::kScores);
      Graph graph = std::move(g).Build();
      InitializeWeights(graph, 6);
      ExpectPlainAgrees(ParseOnnx(SerializeOnnx(Stamped(std::move(graph))), "resized.onnx"), image);
    }
  }
}

int ThreadCount() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) count += entry.exists();
  return count;
}

// In a process of its own, as OpenMP's threads stay once started. Exits with 0 where none came.
void RunLargePictureOnOneThread(const Graph& graph, int multiple) {
  omp_set_num_threads(4);  // however few cores there are
  const int before = ThreadCount();
  SessionOptions options{.threads = 1};
  if (multiple == 1) options.height = 40, options.width = 60;  // else padded: 720 is no multiple
  Session session = Engine(Stamped(graph, 3, multiple), options);
  const Image image = Photo(720, 960);
  session.Run(image.view());
  session.Run(image.view());
  std::exit(ThreadCount() == before && omp_get_max_threads() == 4 ? 0 : 1);
}

TEST(ForeignOutputsDeathTest, SessionOfOneThreadStartsNoneToResize) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Graph graph = Heads({"scores"}, {1});
  EXPECT_EXIT(RunLargePictureOnOneThread(graph, 1), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(RunLargePictureOnOneThread(graph, 32), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(RunLargePictureOnOneThread(EndedInLabels(graph, DType::kInt64), 1), testing::ExitedWithCode(0),
              "");
}

}  // namespace
}  // namespace frf::test
