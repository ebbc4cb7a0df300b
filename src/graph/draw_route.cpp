// SPDX-License-Identifier: Apache-2.0
// Draws lines between placed blocks: down from one, across, down a free column, across, and into the other.
// Subtle: lines are laid shortest first, and each pays for crossing blocks (much) and for lying on a line of
// another value; lines of the same value may share their way, so a map that many layers read looks like one
// bus.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "graph/draw.h"

namespace frf::draw {
namespace {

struct Segment {
  double x1, y1, x2, y2;
  int value;  // block that makes it
};

class Router {
 public:
  explicit Router(const Picture& picture) : picture_(picture), lines_(picture.edges.size()) {
    for (const Block& block : picture.blocks) {
      for (double lane = 1; lane <= 6; ++lane) {
        columns_.push_back(block.x - 4 - 8 * lane);
        columns_.push_back(block.x + block.width + 4 + 8 * lane);
      }
    }
    std::sort(columns_.begin(), columns_.end());
    columns_.erase(
        std::unique(columns_.begin(), columns_.end(), [](double a, double b) { return b - a < 2; }),
        columns_.end());
  }

  std::vector<std::vector<Point>> Run() {
    std::vector<int> order(picture_.edges.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return Span(a) < Span(b); });
    for (const int edge : order) lines_[edge] = Lay(picture_.edges[edge]);
    return std::move(lines_);
  }

 private:
  double Span(int edge) const {
    const Block& from = picture_.blocks[picture_.edges[edge].from];
    const Block& to = picture_.blocks[picture_.edges[edge].to];
    return std::abs(to.y - from.y) + std::abs(to.x - from.x) * 0.3;
  }

  std::vector<Point> Lay(const Edge& edge) {
    const Block& from = picture_.blocks[edge.from];
    const Block& to = picture_.blocks[edge.to];
    const double sx = from.x + from.width / 2, sy = from.y + from.height;
    const double ty = to.y;
    double best = std::numeric_limits<double>::max();
    std::vector<Point> line;
    const auto consider = [&](double tx, double column, double out, double in) {
      const double y1 = sy + out, y2 = ty - in;
      if (y2 < y1 - 1 && column != sx) return;  // no room to turn
      const std::vector<Point> points{{sx, sy}, {sx, y1}, {column, y1}, {column, y2}, {tx, y2}, {tx, ty}};
      const double cost = Cost(points, edge);
      if (cost < best) best = cost, line = points;
    };
    std::vector<double> targets;
    if (edge.ports == 1) targets = {to.x + to.width / 2};
    for (int port = 0; edge.ports > 1 && port < edge.ports; ++port) {
      targets.push_back(to.x + to.width * (port + 1) / (edge.ports + 1));
    }
    for (const double tx : targets) {
      for (const double in : {12.0, 8.0, 16.0}) {
        for (const double out : {16.0, 20.0, 24.0}) {
          consider(tx, sx, out, in);
          consider(tx, tx, out, in);
        }
      }
      for (const double column : columns_) {
        if (std::abs(column - sx) > 900) continue;
        consider(tx, column, 16, 12);
        consider(tx, column, 20, 8);
        consider(tx, column, 24, 16);
      }
    }
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
      laid_.push_back({line[i].x, line[i].y, line[i + 1].x, line[i + 1].y, edge.from});
    }
    return line;
  }

  double Cost(const std::vector<Point>& points, const Edge& edge) const {
    double cost = 0;
    double last_dx = 0, last_dy = 0;
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      const Segment s{points[i].x, points[i].y, points[i + 1].x, points[i + 1].y, edge.from};
      const double dx = s.x2 - s.x1, dy = s.y2 - s.y1;
      const double length = std::abs(dx) + std::abs(dy);
      if (length < 0.01) continue;
      if ((std::abs(dx) > 0.01) != (std::abs(last_dx) > 0.01) && (last_dx != 0 || last_dy != 0))
        cost += 12;  // a bend
      last_dx = dx, last_dy = dy;
      if (dy < 0) cost += 400 - dy;  // upwards
      cost += length + Blocks(s, edge) + Lines(s, edge, i + 2 == points.size());
    }
    return cost;
  }

  double Blocks(const Segment& s, const Edge& edge) const {
    const double left = std::min(s.x1, s.x2) - 4, right = std::max(s.x1, s.x2) + 4;
    const double top = std::min(s.y1, s.y2), bottom = std::max(s.y1, s.y2);
    double cost = 0;
    for (int i = 0; i < static_cast<int>(picture_.blocks.size()); ++i) {
      const Block& block = picture_.blocks[i];
      if (right < block.x || left > block.x + block.width || bottom <= block.y + 0.5 ||
          top >= block.y + block.height - 0.5)
        continue;
      cost += i == edge.from || i == edge.to ? 1500 : 5000;
    }
    return cost;
  }

  double Lines(const Segment& s, const Edge& edge, bool last) const {
    const bool vertical = std::abs(s.x1 - s.x2) < 0.01;
    const double low = vertical ? std::min(s.y1, s.y2) : std::min(s.x1, s.x2),
                 high = vertical ? std::max(s.y1, s.y2) : std::max(s.x1, s.x2);
    double cost = 0;
    for (const Segment& other : laid_) {
      const bool other_vertical = std::abs(other.x1 - other.x2) < 0.01;
      const double other_low = other_vertical ? std::min(other.y1, other.y2) : std::min(other.x1, other.x2);
      const double other_high = other_vertical ? std::max(other.y1, other.y2) : std::max(other.x1, other.x2);
      if (vertical == other_vertical) {
        const double distance = vertical ? std::abs(s.x1 - other.x1) : std::abs(s.y1 - other.y1);
        const double overlap = std::min(high, other_high) - std::max(low, other_low);
        if (overlap <= 0 || distance > 6) continue;
        if (other.value == edge.from && !last)
          cost -= distance < 0.5 ? 0.6 * overlap : 0.0;  // one bus
        else
          cost += distance < 3.5 ? 300 + 2 * overlap : 30;
      } else if (other.value != edge.from) {  // a crossing
        const double at = vertical ? s.x1 : s.y1, other_at = vertical ? other.y1 : other.x1;
        if (other_at > low && other_at < high && at > other_low && at < other_high) cost += 25;
      }
    }
    return cost;
  }

  const Picture& picture_;
  std::vector<std::vector<Point>> lines_;
  std::vector<double> columns_;
  std::vector<Segment> laid_;
};

}  // namespace

std::vector<std::vector<Point>> Route(const Picture& picture) { return Router(picture).Run(); }

}  // namespace frf::draw
