// SPDX-License-Identifier: Apache-2.0
// What stands and moves in a drawn street: posts, signs, signals, street trees, vehicles, people.
// Subtle: vehicles come before people, who keep clear of them; a vehicle that would stand in another is left
// out.
#include "data/synth_scene.h"

namespace frf::synth {

bool Scene::Taken(Vec3 at, float margin) const {
  return std::any_of(vehicles_.begin(), vehicles_.end(), [&](const VehiclePlan& v) {
    const Vec3 away = at - v.centre;
    const Vec3 across{v.heading.z, 0, -v.heading.x};
    return std::abs(Dot(away, v.heading)) < VehicleLength(v.kind) / 2 + margin &&
           std::abs(Dot(away, across)) < 1.05f + margin;
  });
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

}  // namespace frf::synth
