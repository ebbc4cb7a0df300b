// SPDX-License-Identifier: Apache-2.0
// What lines a drawn street: town fronts, houses with gardens, parks, the side street's fronts, and what
// borders plots. Subtle: a building's place in the order of drawing is the farther end of its front, so that
// what stands before any part of the front is drawn over it.
#include "data/synth_scene.h"

namespace frf::synth {

void Scene::PlanBuilding(const BuildingPlan& plan) {
  const Vec3 end = plan.corner + plan.along * plan.width;
  if (end.z < 1 && plan.corner.z < 1) return;
  const Random own = Own();
  const Vec3 farther = Distance(end) > Distance(plan.corner) ? end : plan.corner;
  Add(farther, [this, own, plan] { DrawBuilding(painter_, own, plan); });
  if (Distance(plan.corner) < 70) shadows_.push_back([this, plan] { CastBuildingShadow(painter_, plan); });
}

// A closed front of town blocks along the pavement.
void Scene::PlanTown(int sign, float from, float to) {
  const float t = street_.PavementEnd(sign) * static_cast<float>(sign);
  float height = R(8, 17);
  const float shops = R(0.1, 0.9);
  float party = 0;
  for (float s = from; s < to;) {
    BuildingPlan plan;
    plan.party = party;
    plan.width = std::min(R(7, 17), std::max(to - s, 5.0f));
    plan.depth = R(9, 14);
    if (random_.Chance(0.7)) height = R(6.5, 19);
    plan.height = height;
    plan.house = random_.Chance(0.35);
    plan.shop = random_.Chance(shops);
    plan.corner = street_.At(s, t);
    plan.along = Unit(street_.At(s + plan.width, t) - plan.corner);
    plan.inward = Vec3{plan.along.z, 0, -plan.along.x} * static_cast<float>(sign);
    plan.width = Length(street_.At(s + plan.width, t) - plan.corner);
    PlanBuilding(plan);
    s += std::max(plan.width, 4.0f) * (street_.curvature * static_cast<float>(sign) > 0 ? 1.0f : 0.98f);
    party = street_.curvature == 0 ? plan.height : 0.0f;
    if (random_.Chance(0.1)) {
      s += R(2, 5);
      party = 0;
    }
  }
}

void Scene::PlanTree(Vec3 at, double low, double high, bool autumn) {
  if (at.z < 2.5f || !Near(at, 2.5f)) return;
  Random own = Own();
  TreePlan plan;
  plan.foot = at;
  const double kind = own.Uniform();
  plan.kind = high < 2.5    ? TreeKind::kBush
              : kind < 0.68 ? TreeKind::kRound
              : kind < 0.84 ? TreeKind::kTall
                            : TreeKind::kConifer;
  plan.height = Between(own, low, high);
  plan.leaf = LeafColor(own, autumn && plan.kind != TreeKind::kConifer && own.Chance(0.7));
  Add(at, [this, own, plan] { DrawTree(painter_, own, plan); });
  if (at.z < 60) shadows_.push_back([this, plan] { CastTreeShadow(painter_, plan); });
}

// Fence, wall or hedge along t, in pieces short enough to be put in order with what stands beside them.
void Scene::PlanBoundary(int sign, float from, float to, float t) {
  const double kind = random_.Uniform();
  const bool wall = kind < (rare_ ? 0.3 : 0.12), hedge = !wall && kind > 0.74;
  const float height = wall ? R(0.8, 1.9) : hedge ? R(0.9, 1.7) : R(0.9, 1.6);
  const FenceKind fence = static_cast<FenceKind>(random_.Below(4));
  static constexpr Rgb kFenceColor[] = {{0.48f, 0.34f, 0.22f},
                                        {0.90f, 0.89f, 0.86f},
                                        {0.30f, 0.22f, 0.16f},
                                        {0.24f, 0.34f, 0.26f},
                                        {0.58f, 0.46f, 0.32f}};
  static constexpr Rgb kRailColor[] = {
      {0.14f, 0.15f, 0.16f}, {0.16f, 0.28f, 0.20f}, {0.56f, 0.57f, 0.58f}, {0.30f, 0.32f, 0.34f}};
  const bool wood = fence == FenceKind::kPlanks || fence == FenceKind::kPickets;
  const Rgb color = Vary(random_, wood ? Pick(random_, kFenceColor) : Pick(random_, kRailColor), 0.1f);
  const bool brick = random_.Chance(0.6);
  const Rgb stone = Vary(random_, brick ? Rgb{0.60f, 0.36f, 0.28f} : Rgb{0.60f, 0.58f, 0.54f}, 0.12f);
  const Random look = Own();
  for (float s = from; s + 1 < to; s += 3) {
    const float s1 = std::min(s + 3, to);
    const Vec3 a = street_.At(s, t), b = street_.At(s1, t),
               inward = street_.Right(s) * static_cast<float>(sign);
    if (!Near((a + b) * 0.5f, kFenceScale) || Blocked(s, 3) || Blocked(s1, 3) || b.z < 0.5f) continue;
    const Vec3 key = Distance(a) > Distance(b) ? a : b;
    if (wall)
      Add(key, [=, this] { DrawWall(painter_, look, a, b, height, brick, stone); });
    else if (hedge)
      Add(key, [=, this] { DrawHedge(painter_, look, a, b, inward, height, 0.7f); });
    else
      Add(key, [=, this] { DrawFence(painter_, look, a, b, fence, height, color); });
    if (s1 < 45) {
      shadows_.push_back([=, this] {
        const Vec3 up{0, height, 0};
        const Vec3 panel[4] = {a, b, b + up, a + up};
        painter_.CastShadow(panel);
      });
    }
  }
}

// Detached houses behind front gardens.
void Scene::PlanHouses(int sign, float from, float to) {
  const float g = static_cast<float>(sign), edge = street_.PavementEnd(sign) * g;
  const float setback = R(2.5, 6);
  const bool autumn = street_.side(sign).autumn;
  for (float s = from; s < to;) {
    BuildingPlan plan;
    plan.house = true;
    plan.width = R(8, 14);
    plan.depth = R(8, 11);
    plan.height = random_.Chance(0.7) ? R(5.2, 6.4) : R(2.9, 3.6);
    const float t = edge + (setback + R(-0.5, 0.8)) * g;
    plan.corner = street_.At(s, t);
    plan.along = Unit(street_.At(s + plan.width, t) - plan.corner);
    plan.inward = Vec3{plan.along.z, 0, -plan.along.x} * g;
    PlanBuilding(plan);
    const float gap = R(1.5, 6);
    if (random_.Chance(0.7)) PlanTree(street_.At(s + plan.width + gap / 2, edge + R(2, 9) * g), 4, 9, autumn);
    if (random_.Chance(0.5)) PlanTree(street_.At(s + R(0, 8), edge + R(0.8, 1.6) * g), 0.9, 2.0, false);
    if (random_.Chance(0.4))
      PlanTree(street_.At(s + R(0, 10), edge + (setback + 14 + R(0, 5)) * g), 7, 12, autumn);
    if (random_.Chance(0.8)) PlanBoundary(sign, s - 1, s + plan.width + gap - 1.8f, edge + 0.2f * g);
    s += plan.width + gap;
  }
}

void Scene::PlanPark(int sign, float from, float to) {
  const float g = static_cast<float>(sign), edge = street_.PavementEnd(sign) * g;
  const bool autumn = street_.side(sign).autumn, dense = random_.Chance(0.5);
  for (float s = from; s < to; s += dense ? R(3, 7) : R(6, 13)) {
    PlanTree(street_.At(s, edge + R(2, 7) * g), 5, 11, autumn);
    PlanTree(street_.At(s + R(-2, 2), edge + R(9, 24) * g), 6, 13, autumn);
    if (random_.Chance(0.35)) PlanTree(street_.At(s + 1, edge + R(1, 5) * g), 0.9, 2.2, autumn);
  }
  if (random_.Chance(0.75)) PlanBoundary(sign, from, to, edge + 0.2f * g);
  const Vec3 a = street_.At(from, edge + 38 * g),
             b = street_.At(std::min(to, street_.end), edge + (street_.curvature == 0 ? 38.0f : 30.0f) * g);
  const Random own = Own();
  if (street_.curvature == 0) items_.push_back({500, [=, this] { DrawTreeLine(painter_, own, b, a, 11); }});
}

// Fronts along the far side of the side street, which face us.
void Scene::PlanSideStreet() {
  if (!street_.has_junction()) return;
  for (int sign : {-1, 1}) {
    const float g = static_cast<float>(sign);
    const bool park = street_.side(sign).style == SideStyle::kPark;
    const float s = street_.junction_end + 2.4f;
    float t = street_.PavementEnd(sign) + (street_.side(sign).style == SideStyle::kHouses ? 16.0f : 14.0f);
    for (; t < 75;) {
      if (park) {
        PlanTree(street_.At(s + R(1, 6), t * g), 6, 11, street_.side(sign).autumn);
        t += R(4, 8);
        continue;
      }
      BuildingPlan plan;
      plan.width = R(8, 15);
      plan.depth = R(8, 12);
      plan.house = street_.side(sign).style == SideStyle::kHouses || random_.Chance(0.3);
      plan.height = street_.side(sign).style == SideStyle::kHouses ? R(5.2, 6.4) : R(7, 17);
      plan.shop = !plan.house && random_.Chance(0.4);
      plan.corner = street_.At(s, (sign > 0 ? t : t + plan.width) * g);
      plan.along = {1, 0, 0};
      plan.inward = {0, 0, 1};
      PlanBuilding(plan);
      t += plan.width + (plan.house ? R(1, 4) : 0.0f);
    }
  }
}

}  // namespace frf::synth
