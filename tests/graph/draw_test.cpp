// SPDX-License-Identifier: Apache-2.0
// The picture of a graph: well-formed, complete, nothing over something else.
#include "graph/draw.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/builder.h"
#include "support/support.h"

namespace frf {
namespace {

// Two stages with a skip connection over the second, a join, and an output.
Graph Small(const std::string& name = "small") {
  Builder g(name);
  Value x = g.Input("image", 3), skip;
  const auto layer = [&](const Value& v, const std::string& conv, int stride) {
    return g.Relu(
        g.BatchNorm(g.Conv(v, {.name = conv, .out = 8, .kernel = 3, .stride = stride}), conv + ".bn"));
  };
  {
    const auto scope = g.Scope("stage1");
    skip = x = layer(x, "conv1", 2);
  }
  {
    const auto scope = g.Scope("stage2");
    for (int i = 1; i <= 4; ++i) x = layer(x, fmt::format("conv{}", i), i == 1 ? 2 : 1);
  }
  x = g.Add(g.ResizeLike(x, skip), skip);
  g.Output(g.Conv(x, {.name = "classifier", .out = 2, .bias = true}), "scores", OutputRole::kScores);
  return std::move(g).Build();
}

std::string Svg(const Graph& graph, int height = 61, int width = 127) {
  const TypeMap types = InferShapes(graph, height, width);
  return DrawSvg(graph, types, CountCost(graph, types));
}

// Every tag that opens closes, in order.
bool IsWellFormed(const std::string& svg) {
  std::vector<std::string> open;
  for (std::size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const std::size_t end = svg.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = svg.substr(at + 1, end - at - 1);
    if (tag.back() == '/') continue;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    } else {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty();
}

TEST(Draw, IsWellFormedAndComplete) {
  const std::string svg = Svg(Small());
  EXPECT_TRUE(IsWellFormed(svg));
  for (const char* part : {">small<", ">stage1<", ">stage2<", ">conv1<", ">classifier<", ">scores<",
                           "3 × 61 × 127", "8 × 31 × 64", "8 × 16 × 32", "3×3 conv /2 · BN · ReLU"}) {
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(svg, Svg(Small())) << "the same graph gives the same picture";
}

TEST(Draw, AHaloIsTextOfItsOwnUnderTheWords) {
  const std::string svg = Svg(Small());
  EXPECT_EQ(svg.find("paint-order"), std::string::npos) << "some viewers do not know it";
  for (const std::string what : {"scope", "size"}) {
    const std::size_t halo = svg.find("class='" + what + " halo'"), words = svg.find("class='" + what + "'");
    ASSERT_NE(halo, std::string::npos);
    EXPECT_LT(halo, words);
  }
}

TEST(Draw, NamesAreEscaped) {
  const std::string svg = Svg(Small("a<b>&\"c\"\n</svg>"));
  EXPECT_TRUE(IsWellFormed(svg));
  EXPECT_NE(svg.find("a&lt;b&gt;&amp;&quot;c&quot;"), std::string::npos);
}

TEST(Draw, LayersBecomeBlocks) {
  const Graph graph = Small();
  const TypeMap types = InferShapes(graph, 61, 127);
  const draw::Picture picture = draw::MakeBlocks(graph, types, CountCost(graph, types));
  // image, 5 layers of three nodes each, resize, add, classifier, scores
  ASSERT_EQ(picture.blocks.size(), 10u);
  EXPECT_EQ(picture.blocks[1].nodes.size(), 3u);
  EXPECT_EQ(picture.edges.size(), 10u);
  double most = 0;
  for (const draw::Block& block : picture.blocks) most = std::max(most, block.share);
  EXPECT_DOUBLE_EQ(most, 1.0);
}

bool Overlap(double a, double a_size, double b, double b_size) { return a < b + b_size && b < a + a_size; }

TEST(Draw, NothingLiesOverSomethingElse) {
  const Graph graph = Small();
  const TypeMap types = InferShapes(graph, 61, 127);
  draw::Picture picture = draw::MakeBlocks(graph, types, CountCost(graph, types));
  double width = 0, height = 0;
  const std::vector<draw::Panel> panels = draw::Place(picture, width, height);
  ASSERT_EQ(panels.size(), 2u);
  const auto& blocks = picture.blocks;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_GE(blocks[i].x, 0);
    EXPECT_LE(blocks[i].x + blocks[i].width, width);
    EXPECT_LE(blocks[i].y + blocks[i].height, height);
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(Overlap(blocks[i].x, blocks[i].width, blocks[j].x, blocks[j].width) &&
                   Overlap(blocks[i].y, blocks[i].height, blocks[j].y, blocks[j].height))
          << blocks[i].title << " over " << blocks[j].title;
    }
  }
  const std::vector<std::vector<draw::Point>> lines = draw::Route(picture);
  ASSERT_EQ(lines.size(), picture.edges.size());
  for (std::size_t e = 0; e < lines.size(); ++e) {
    ASSERT_GE(lines[e].size(), 2u);
    for (std::size_t k = 0; k + 1 < lines[e].size(); ++k) {
      const draw::Point a = lines[e][k], b = lines[e][k + 1];
      EXPECT_TRUE(a.x == b.x || a.y == b.y) << "right angles";
      for (std::size_t i = 0; i < blocks.size(); ++i) {
        const bool end =
            static_cast<int>(i) == picture.edges[e].from || static_cast<int>(i) == picture.edges[e].to;
        EXPECT_FALSE(!end && Overlap(std::min(a.x, b.x), std::abs(a.x - b.x), blocks[i].x, blocks[i].width) &&
                     Overlap(std::min(a.y, b.y), std::abs(a.y - b.y), blocks[i].y, blocks[i].height))
            << "a line crosses " << blocks[i].title;
      }
    }
  }
}

TEST(Draw, ScopesThatNeedEachOtherAreDissolved) {
  Builder g("circle");
  Value x = g.Input("image", 3);
  for (int i = 0; i < 2; ++i) {
    for (const char* name : {"a", "b"}) {
      const auto scope = g.Scope(name);
      x = g.Conv(x, {.name = fmt::format("conv{}", i), .out = 3});
    }
  }
  g.Output(x, "scores", OutputRole::kScores);
  EXPECT_TRUE(IsWellFormed(Svg(std::move(g).Build())));
}

}  // namespace
}  // namespace frf
