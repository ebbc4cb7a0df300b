// SPDX-License-Identifier: Apache-2.0
// Places blocks: a scope is a frame, its members stand in rows from top to bottom, members that do not depend
// on each other side by side. Subtle: frames are laid out as wholes, so members of two scopes never mix;
// where scopes depend on each other both ways (foreign names can), the inner frames of that scope are
// dissolved.
#include <algorithm>
#include <map>

#include "graph/draw.h"

namespace frf::draw {
namespace {

constexpr double kGapX = 34, kGapY = 30, kMargin = 16, kTitle = 20;
constexpr double kBig = 190, kSmall = 118;

struct Item {  // a frame, or a block where block >= 0
  int block = -1;
  std::string name;
  std::vector<Item> members;
  int row = 0;
  double x = 0, y = 0, width = 0, height = 0;  // relative to the parent
};

class Placer {
 public:
  explicit Placer(Picture& picture) : picture_(picture) {}

  std::vector<Panel> Run(double& width, double& height) {
    for (Block& block : picture_.blocks) Measure(block);
    Item root;
    for (int i = 0; i < static_cast<int>(picture_.blocks.size()); ++i) {
      Item* at = &root;
      for (const std::string& name : picture_.blocks[i].scope) {
        auto it = std::find_if(at->members.begin(), at->members.end(),
                               [&](const Item& item) { return item.block < 0 && item.name == name; });
        if (it == at->members.end()) it = at->members.insert(it, Item{.name = name});
        at = &*it;
      }
      at->members.push_back({.block = i});
    }
    Layout(root, true);
    std::vector<Panel> panels;
    Fix(root, 0, 0, 0, panels);
    width = root.width;
    height = root.height;
    return panels;
  }

 private:
  static void Measure(Block& block) {
    const double text = 7.2 * static_cast<double>(std::max(block.title.size(), block.detail.size())) + 18;
    const bool big = !block.detail.empty();
    block.width = std::clamp(text, big ? kBig : kSmall, 260.0);
    block.height = big ? 40 : 24;
  }

  void Collect(const Item& item, int owner, std::map<int, int>& owners) const {
    if (item.block >= 0) owners[item.block] = owner;
    for (const Item& member : item.members) Collect(member, owner, owners);
  }

  static void Flatten(Item& item, std::vector<Item>& blocks) {
    if (item.block >= 0) blocks.push_back(item);
    for (Item& member : item.members) Flatten(member, blocks);
  }

  // Longest path among the members; false where they depend on each other in a circle.
  bool Rank(Item& item) const {
    const int count = static_cast<int>(item.members.size());
    std::map<int, int> owners;
    for (int i = 0; i < count; ++i) Collect(item.members[i], i, owners);
    std::vector<std::pair<int, int>> links;
    for (const Edge& edge : picture_.edges) {
      const auto from = owners.find(edge.from), to = owners.find(edge.to);
      if (from != owners.end() && to != owners.end() && from->second != to->second)
        links.emplace_back(from->second, to->second);
    }
    for (Item& member : item.members) member.row = 0;
    for (int round = 0; round <= count; ++round) {
      bool changed = false;
      for (const auto& [from, to] : links) {
        if (item.members[to].row > item.members[from].row) continue;
        item.members[to].row = item.members[from].row + 1;
        changed = true;
      }
      if (!changed) {
        Delay(item, links);
        return true;
      }
    }
    return false;
  }

  // What nothing before it in this frame feeds moves down to just above its first reader: lateral
  // convolutions.
  static void Delay(Item& item, const std::vector<std::pair<int, int>>& links) {
    std::vector<int> earliest(item.members.size(), 1 << 30);
    std::vector<bool> fed(item.members.size(), false);
    for (bool changed = true; changed;) {
      changed = false;
      std::fill(earliest.begin(), earliest.end(), 1 << 30);
      for (const auto& [from, to] : links) {
        earliest[from] = std::min(earliest[from], item.members[to].row - 1);
        fed[to] = true;
      }
      for (std::size_t i = 0; i < item.members.size(); ++i) {
        if (fed[i] || earliest[i] == 1 << 30 || earliest[i] <= item.members[i].row) continue;
        item.members[i].row = earliest[i];
        changed = true;
      }
    }
  }

  void Layout(Item& item, bool root) {
    if (item.block >= 0) {
      item.width = picture_.blocks[item.block].width;
      item.height = picture_.blocks[item.block].height;
      return;
    }
    if (!Rank(item)) {
      std::vector<Item> blocks;
      Flatten(item, blocks);
      std::sort(blocks.begin(), blocks.end(), [](const Item& a, const Item& b) { return a.block < b.block; });
      item.members = std::move(blocks);
      Rank(item);
    }
    std::map<int, std::vector<Item*>> rows;
    for (Item& member : item.members) {
      Layout(member, false);
      rows[member.row].push_back(&member);
    }
    double inner = 0;
    for (const auto& [row, members] : rows) {
      double width = -kGapX;
      for (const Item* member : members) width += member->width + kGapX;
      inner = std::max(inner, width);
    }
    const double side = root ? 60 : kMargin + 18;  // room for lines beside the members
    double y = root ? 10 : kTitle + 14;
    for (const auto& [row, members] : rows) {
      double width = -kGapX, height = 0;
      for (const Item* member : members) {
        width += member->width + kGapX;
        height = std::max(height, member->height);
      }
      double x = side + (inner - width) / 2;
      for (Item* member : members) {
        member->x = x;
        member->y = y + (height - member->height) / 2;
        x += member->width + kGapX;
      }
      y += height + kGapY;
    }
    item.width = inner + 2 * side;
    item.height = y - kGapY + (root ? 20 : kMargin + 12);
  }

  void Fix(const Item& item, double x, double y, int depth, std::vector<Panel>& panels) {
    if (item.block >= 0) {
      picture_.blocks[item.block].x = x;
      picture_.blocks[item.block].y = y;
      return;
    }
    if (depth > 0) panels.push_back({item.name, depth, x, y, item.width, item.height});
    for (const Item& member : item.members) Fix(member, x + member.x, y + member.y, depth + 1, panels);
  }

  Picture& picture_;
};

}  // namespace

std::vector<Panel> Place(Picture& picture, double& width, double& height) {
  return Placer(picture).Run(width, height);
}

}  // namespace frf::draw
