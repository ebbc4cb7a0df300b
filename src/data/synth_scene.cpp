// SPDX-License-Identifier: Apache-2.0
// One scene: chooses street, weather and camera, places things along the street, and draws them from far to
// near. Subtle: a building's place in that order is the farther end of its front, so that what stands before
// any part of the front is drawn over it. Things that would cover only a few pixels are not placed at all.
#include <fmt/format.h>

#include <functional>

#include "data/synth.h"
#include "data/synth_parts.h"
#include "data/synth_street.h"
#include "frf/error.h"

namespace frf {
namespace {

using namespace synth;

// Class ids by Thing. CamVid's eleven follow its published grouping: walls are buildings, grass is trees,
// traffic lights are signs, all motor vehicles but motorcycles are cars, and riders and what they ride are
// bicyclists.
constexpr std::uint8_t kCamVidIds[kThings] = {3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10};
constexpr std::uint8_t kCityscapesIds[kThings] = {0,  1,  2,  3,  4,  5,  6,  7,  8, 9,
                                                  10, 11, 12, 13, 14, 15, 16, 17, 18};

// The least pixels a metre at which a kind of thing is drawn.
constexpr float kPersonScale = 13.5f, kPoleScale = 12.5f, kSignScale = 18, kVehicleScale = 6.5f,
                kFenceScale = 7;

class Scene {
 public:
  Scene(std::uint64_t seed, const SceneSpec& spec)
      : seed_(seed),
        rare_(spec.variant == "cityscapes"),
        random_(seed, 1),
        painter_(spec.height, spec.width) {
    Random weather(seed, 2), street(seed, 3), view(seed, 4);
    weather_ = ChooseWeather(weather);
    painter_.light = weather_.light;
    street_ = ChooseStreet(street, rare_);
    painter_.camera = ChooseCamera(view, street_, spec.height, spec.width);
    // Limits in pixels hold at the default size; other sizes scale with the focal length.
    unit_ = std::sqrt(static_cast<float>(spec.height) * static_cast<float>(spec.width)) / 415.7f;
  }

  void Draw();
  void Finish(const std::uint8_t (&ids)[kThings], Sample& sample) const {
    painter_.canvas.Resolve(weather_.finish, ids, sample.image, sample.labels);
  }

 private:
  struct Item {
    float distance;
    std::function<void()> draw;
  };
  // Whether a vehicle already stands within `margin` metres of the point.
  bool Taken(Vec3 at, float margin) const {
    return std::any_of(vehicles_.begin(), vehicles_.end(), [&](const VehiclePlan& v) {
      const Vec3 away = at - v.centre;
      const Vec3 across{v.heading.z, 0, -v.heading.x};
      return std::abs(Dot(away, v.heading)) < VehicleLength(v.kind) / 2 + margin &&
             std::abs(Dot(away, across)) < 1.05f + margin;
    });
  }
  Random Own() { return Random(seed_, 100, static_cast<std::uint64_t>(things_++)); }
  float Distance(Vec3 at) const {
    return Length(Vec3{at.x, 0, at.z} - Vec3{painter_.camera.position.x, 0, 0});
  }
  bool Near(Vec3 at, float scale) const { return painter_.PixelsPerMetre(at) >= scale * unit_; }
  void Add(Vec3 at, std::function<void()> draw) { items_.push_back({Distance(at), std::move(draw)}); }
  float R(double low, double high) { return static_cast<float>(random_.Uniform(low, high)); }
  bool Blocked(float s, float margin) const { return street_.InJunction(s, margin); }

  void PlanBuilding(const BuildingPlan& plan);
  void PlanTown(int sign, float from, float to);
  void PlanHouses(int sign, float from, float to);
  void PlanPark(int sign, float from, float to);
  void PlanSideStreet();
  void PlanBoundary(int sign, float from, float to, float t);
  void PlanTree(Vec3 at, double low, double high, bool autumn);
  void PlanFurniture(int sign);
  void PlanVehicle(Vec3 at, Vec3 heading, VehicleKind kind);
  void PlanTraffic();
  void PlanParked(int sign);
  void PlanPerson(Vec3 at, float heading);
  void PlanCyclist(Vec3 at, float heading, bool motor);
  void PlanPeople();
  VehicleKind ChooseVehicle(bool parked);
  float TurnOf(Vec3 at, float heading) const {
    return heading - std::atan2(at.x - painter_.camera.position.x, std::max(at.z, 0.5f));
  }

  std::uint64_t seed_;
  bool rare_;
  Random random_;
  Painter painter_;
  Weather weather_;
  Street street_;
  float unit_ = 1;
  int things_ = 0;
  std::vector<Item> items_;
  std::vector<VehiclePlan> vehicles_;
  std::vector<std::function<void()>> shadows_;
};

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

void Scene::PlanFurniture(int sign) {
  const float g = static_cast<float>(sign);
  const Side& side = street_.side(sign);
  const float t = (street_.Kerb(sign) + 0.55f) * g;
  const auto toward = [&](float s) { return street_.Right(s) * -g; };
  // Lamp posts.
  const float spacing = R(13, 26), height = R(5.5, 9);
  const Random lamp = Own();
  for (float s = R(5, 5 + spacing); s < 60; s += spacing) {
    const Vec3 foot = street_.At(s, t);
    if (Blocked(s, 1) || !Near(foot, kPoleScale)) continue;
    const Vec3 way = toward(s);
    Add(foot, [=, this] { DrawLampPost(painter_, lamp, foot, way, height); });
    shadows_.push_back([=, this] { CastFigureShadow(painter_, foot, height, 0.1f); });
  }
  // Signs, boards, telegraph poles.
  const int signs = static_cast<int>(random_.Between(1, 3));
  for (int i = 0; i < signs; ++i) {
    const float s = R(6, 12) + 8 * static_cast<float>(i);
    const Vec3 foot = street_.At(s, t + R(-0.1, 0.4) * g);
    if (Blocked(s, 0.5f) || !Near(foot, kSignScale)) continue;
    const Random own = Own();
    const Vec3 way = toward(s), facing = street_.Along(s) * -1;
    if (random_.Chance(0.3))
      Add(foot, [=, this] { DrawBoard(painter_, own, foot, facing); });
    else
      Add(foot, [=, this] { DrawSign(painter_, own, foot, way); });
  }
  if (random_.Chance(0.3)) {
    for (float s = R(6, 20); s < 50; s += R(16, 26)) {
      const Vec3 foot = street_.At(s, (street_.PavementEnd(sign) - 0.3f) * g);
      if (Blocked(s, 1) || !Near(foot, kPoleScale)) continue;
      const Random own = Own();
      const float tall = R(6, 9);
      Add(foot, [=, this] { DrawPost(painter_, own, foot, tall, 0.26f); });
    }
  }
  if (street_.signals && (street_.has_junction() || street_.zebra > 0)) {
    const float first = street_.has_junction() ? street_.junction_start - 2.5f : street_.zebra + 2.2f;
    const float second = street_.has_junction() ? street_.junction_end + 2.8f : street_.zebra - 2.2f;
    for (float s : {first, second}) {
      const Vec3 foot = street_.At(s, t), way = toward(s);
      const Random own = Own();
      if (Near(foot, 12)) Add(foot, [=, this] { DrawTrafficLight(painter_, own, foot, way); });
    }
  }
  // Street trees, in the verge or in the pavement.
  if (random_.Chance(side.verge > 0 ? 0.8 : 0.4) && side.pavement + side.verge > 2.4f) {
    const float step = R(7, 13);
    for (float s = R(6, 14); s < 80; s += step) {
      if (!Blocked(s, 3))
        PlanTree(street_.At(s, (street_.Kerb(sign) + (side.verge > 0 ? side.verge / 2 : 0.8f)) * g), 4.5, 8,
                 side.autumn);
    }
  }
  // A railing or bollards at the kerb.
  const double guard = random_.Uniform();
  if (guard < 0.28) {
    const float from = R(5, 16);
    PlanBoundary(sign, from, from + R(9, 24), (street_.Kerb(sign) + 0.3f) * g);
  } else if (guard < 0.45) {
    const Random own = Own();
    const float from = R(5, 14), step = R(1.6, 2.6), tall = R(0.85, 1.15), thick = R(0.18, 0.26);
    for (float s = from; s < from + 12; s += step) {
      const Vec3 foot = street_.At(s, (street_.Kerb(sign) + 0.35f) * g);
      if (!Blocked(s, 1) && Near(foot, 18))
        Add(foot, [=, this] { DrawPost(painter_, own, foot, tall, thick); });
    }
  }
}

VehicleKind Scene::ChooseVehicle(bool parked) {
  const double kind = random_.Uniform();
  const double large = parked ? 0.04 : rare_ ? 0.24 : 0.12;
  if (kind < large / 2) return VehicleKind::kTruck;
  if (kind < large) return parked ? VehicleKind::kVan : VehicleKind::kBus;
  const double rest = random_.Uniform();
  return rest < 0.4    ? VehicleKind::kHatchback
         : rest < 0.68 ? VehicleKind::kSedan
         : rest < 0.86 ? VehicleKind::kSuv
                       : VehicleKind::kVan;
}

void Scene::PlanVehicle(Vec3 at, Vec3 heading, VehicleKind kind) {
  const float half = VehicleLength(kind) / 2;
  if (!Near(at, kVehicleScale) || at.z - half < 2.2f) return;
  for (float along = -half; along <= half; along += 1.2f) {
    if (Taken(at + heading * along, 0.75f)) return;
  }
  const Random own = Own();
  const VehiclePlan plan{at, heading, kind};
  vehicles_.push_back(plan);
  Add(at, [=, this] { DrawVehicle(painter_, own, plan); });
  shadows_.push_back([=, this] { CastVehicleShadow(painter_, plan); });
}

void Scene::PlanTraffic() {
  const float hand = static_cast<float>(street_.hand);
  for (int lane = 0; lane < street_.lanes; ++lane) {
    const float t = hand * street_.lane * (static_cast<float>(lane) + 0.5f);
    if (random_.Chance(0.7)) {
      for (float s = R(8, 32); s < 75;) {
        const VehicleKind kind = ChooseVehicle(false);
        const float half = VehicleLength(kind) / 2;
        s += half;
        const bool clear = s - half < painter_.camera.position.z + 5;
        if (!clear) PlanVehicle(street_.At(s, t + R(-0.25, 0.25)), street_.Along(s), kind);
        s += half + R(3, 28);
      }
    }
    const bool tram = street_.tram && lane == 0;
    if (tram || random_.Chance(0.72)) {
      for (float s = R(4, 24); s < 75;) {
        const VehicleKind kind = tram ? VehicleKind::kTram : ChooseVehicle(false);
        const float half = VehicleLength(kind) / 2;
        s += half;
        PlanVehicle(street_.At(s, -t + R(-0.25, 0.25)), street_.Along(s) * -1, kind);
        s += half + R(4, 30);
        if (tram) break;
      }
    }
  }
  if (street_.has_junction() && random_.Chance(0.6)) {
    const float middle = (street_.junction_start + street_.junction_end) / 2,
                half = (street_.junction_end - street_.junction_start) / 4;
    const float way = random_.Chance(0.5) ? 1.0f : -1.0f;
    const Vec3 at = street_.At(middle - half * way * hand, R(-11, 11));
    PlanVehicle(at, Vec3{way, 0, 0}, ChooseVehicle(false));
  }
}

void Scene::PlanParked(int sign) {
  const Side& side = street_.side(sign);
  if (side.parking <= 0) return;
  const float g = static_cast<float>(sign), t = (street_.Kerb(sign) - side.parking / 2) * g,
              taken = R(0.3, 0.95);
  for (float s = R(4, 9); s < 70;) {
    const VehicleKind kind = ChooseVehicle(true);
    const float half = VehicleLength(kind) / 2;
    s += half;
    const bool with_traffic = sign == street_.hand || random_.Chance(0.2);
    if (random_.Chance(taken) && !Blocked(s, half + 2) && std::abs(s - street_.zebra) > half + 2.5f) {
      PlanVehicle(street_.At(s, t + R(-0.12, 0.12)), street_.Along(s) * (with_traffic ? 1.0f : -1.0f), kind);
    }
    s += half + R(0.7, 1.8);
  }
}

void Scene::PlanPerson(Vec3 at, float heading) {
  if (!Near(at, kPersonScale) || at.z < 3 || Taken(at, 0.3f)) return;
  Random own = Own();
  const float height = own.Chance(0.12) ? Between(own, 1.15, 1.4) : Between(own, 1.58, 1.9),
              turn = TurnOf(at, heading);
  Add(at, [=, this] { DrawPedestrian(painter_, own, at, turn, height); });
  shadows_.push_back([=, this] { CastFigureShadow(painter_, at, height, 0.2f); });
}

void Scene::PlanCyclist(Vec3 at, float heading, bool motor) {
  if (!Near(at, kPersonScale) || at.z < 4 || Taken(at, 0.6f)) return;
  const Random own = Own();
  const float turn = TurnOf(at, heading);
  Add(at, [=, this] { DrawCyclist(painter_, own, at, turn, motor); });
  shadows_.push_back([=, this] { CastFigureShadow(painter_, at, 1.7f, 0.3f); });
}

void Scene::PlanPeople() {
  constexpr float kPi = 3.1415927f;
  for (int sign : {-1, 1}) {
    const float g = static_cast<float>(sign);
    const int count =
        static_cast<int>(random_.Between(0, street_.side(sign).style == SideStyle::kTown ? 6 : 3));
    for (int i = 0; i < count; ++i) {
      const float s = R(6, 34),
                  t = R(street_.PavementStart(sign) + 0.5f, street_.PavementEnd(sign) - 0.35f) * g;
      const float heading = street_.Heading(s) + (random_.Chance(0.5) ? 0.0f : kPi) + R(-0.5, 0.5) +
                            (random_.Chance(0.2) ? kPi / 2 : 0.0f);
      PlanPerson(street_.At(s, t), heading);
      if (random_.Chance(0.25))
        PlanPerson(street_.At(s + R(-0.3, 0.3), t + (random_.Chance(0.5) ? 0.55f : -0.55f)), heading);
    }
    if (random_.Chance(rare_ ? 0.9 : 0.22)) {  // bicycles that lean on something
      const float s = rare_ ? R(6, 12) : R(6, 18);
      const int many = static_cast<int>(random_.Between(1, rare_ ? 5 : 3));
      const bool motor = random_.Chance(rare_ ? 0.35 : 0.1);
      for (int i = 0; i < many; ++i) {
        const Vec3 at = street_.At(s + (motor ? 1.0f : 0.6f) * static_cast<float>(i),
                                   (street_.PavementEnd(sign) - 0.5f) * g);
        if (Blocked(s, 2) || !Near(at, kPersonScale)) continue;
        const Random own = Own();
        const float turn = R(1.0, 2.1) * (random_.Chance(0.5) ? 1.0f : -1.0f);
        Add(at, [=, this] { DrawParkedBicycle(painter_, own, at, turn, motor); });
        shadows_.push_back([=, this] { CastFigureShadow(painter_, at, 0.9f, 0.4f); });
      }
    }
    const int riders = random_.Chance(rare_ ? 0.85 : 0.6) ? (random_.Chance(0.25) ? 2 : 1) : 0;
    for (int i = 0; i < riders; ++i) {
      const float s = R(6, 26), t = (street_.lane * static_cast<float>(street_.lanes) - R(0.5, 1.1)) * g;
      const float heading = street_.Heading(s) + (sign == street_.hand ? 0.0f : kPi) + R(-0.15, 0.15);
      PlanCyclist(street_.At(s, t), heading, random_.Chance(rare_ ? 0.4 : 0.06));
    }
  }
  const float crossing = street_.zebra > 0        ? street_.zebra
                         : street_.has_junction() ? street_.junction_start - 1
                                                  : R(10, 24);
  const int crossers = street_.zebra > 0 ? static_cast<int>(random_.Below(5)) : random_.Chance(0.2) ? 1 : 0;
  for (int i = 0; i < crossers; ++i) {
    PlanPerson(street_.At(crossing + R(-1.2, 1.2), R(-street_.Kerb(-1), street_.Kerb(1))),
               (random_.Chance(0.5) ? 1.0f : -1.0f) * kPi / 2);
  }
  if (random_.Chance(0.3)) {  // a cyclist crosses
    const float s = street_.has_junction() ? R(street_.junction_start, street_.junction_end) : R(9, 20);
    PlanCyclist(street_.At(s, R(-5, 5)), (random_.Chance(0.5) ? 1.0f : -1.0f) * kPi / 2 + R(-0.5, 0.5),
                rare_ && random_.Chance(0.3));
  }
}

void Scene::Draw() {
  for (int sign : {-1, 1}) {
    const SideStyle style = street_.side(sign).style;
    const auto plan = [&](float from, float to) {
      if (style == SideStyle::kTown)
        PlanTown(sign, from, to);
      else if (style == SideStyle::kHouses)
        PlanHouses(sign, from, to);
      else
        PlanPark(sign, from, to);
    };
    if (street_.has_junction()) {
      plan(2, street_.junction_start - 2.4f);
      plan(street_.junction_end + 2.4f, street_.end);
    } else {
      plan(2, street_.end);
    }
    PlanFurniture(sign);
    PlanParked(sign);
  }
  PlanSideStreet();
  PlanTraffic();
  PlanPeople();

  const Vec3 far = painter_.camera.position + Vec3{0, 0, 400};
  const Vec3 seen = painter_.camera.ToCamera({far.x, painter_.camera.position.y, far.z});
  const float horizon = painter_.camera.Project(seen).y;
  DrawSky(painter_, Random(seed_, 5), horizon, weather_.cloudiness);
  DrawGround(painter_, Random(seed_, 6), street_);
  for (const auto& cast : shadows_) cast();
  const float back = std::max(street_.At(street_.end, 0).z, 60.0f) + 20;
  const Vec3 left{-back * 1.3f, 0, back}, right{back * 1.3f, 0, back};
  const bool town = street_.sides[0].style == SideStyle::kTown || street_.sides[1].style == SideStyle::kTown;
  const bool skyline = random_.Chance(town ? 0.65 : 0.25);
  const float tall = R(7, 15);
  if (skyline) DrawSkyline(painter_, Random(seed_, 7), left, right, tall);
  // Trees stay well below the roofs behind them, or roofs would show as specks between the crowns.
  if (!skyline || random_.Chance(0.4)) {
    DrawTreeLine(painter_, Random(seed_, 8), left, right, skyline ? tall * 0.35f : R(5, 11));
  }
  std::stable_sort(items_.begin(), items_.end(),
                   [](const Item& a, const Item& b) { return a.distance > b.distance; });
  for (const Item& item : items_) item.draw();
}

}  // namespace

void ValidateScene(const SceneSpec& spec) {
  if (spec.height < 32 || spec.width < 32 || spec.height > 8192 || spec.width > 8192) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("scene size {}x{}: height and width must be 32..8192", spec.height, spec.width));
  }
  if (spec.variant != "camvid" && spec.variant != "cityscapes") {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("scene classes '{}': choose camvid or cityscapes", spec.variant));
  }
}

Sample DrawScene(std::uint64_t seed, const SceneSpec& spec) {
  ValidateScene(spec);
  Scene scene(seed, spec);
  scene.Draw();
  Sample sample;
  sample.name = fmt::format("synth/{:08}", seed);
  scene.Finish(spec.variant == "camvid" ? kCamVidIds : kCityscapesIds, sample);
  return sample;
}

}  // namespace frf
