// SPDX-License-Identifier: Apache-2.0
// One drawn scene in the making: street, weather and camera are chosen, things are planned along the street,
// then drawn from far to near. Planning is split over synth_plan_*.cpp. Subtle: every thing draws from a
// Random of its own number, so what it looks like does not depend on the order of drawing.
#pragma once

#include <functional>
#include <vector>

#include "data/synth.h"
#include "data/synth_parts.h"
#include "data/synth_street.h"

namespace frf::synth {

// The least pixels a metre at which a kind of thing is drawn.
inline constexpr float kPersonScale = 13.5f, kPoleScale = 12.5f, kSignScale = 18, kVehicleScale = 6.5f,
                       kFenceScale = 7;

class Scene {
 public:
  Scene(std::uint64_t seed, const SceneSpec& spec);

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
  bool Taken(Vec3 at, float margin) const;
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

}  // namespace frf::synth
