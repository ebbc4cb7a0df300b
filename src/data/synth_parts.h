// SPDX-License-Identifier: Apache-2.0
// The things that stand in a drawn street, one function each. All take a Random of their own, so that a thing
// looks the same whatever else is in the scene, and positions in metres (see synth_painter.h).
#pragma once

#include "base/random.h"
#include "data/synth_painter.h"

namespace frf::synth {

// synth_buildings.cpp
struct BuildingPlan {
  Vec3 corner;         // front bottom corner
  Vec3 along, inward;  // unit, level: along the front, and from the front into the building
  float width = 10, depth = 10, height = 9;
  bool house = false;  // pitched roof, domestic windows; else a town block
  bool shop = false;   // shop front at street level
  float party = 0;     // the side wall at `corner` is hidden by a neighbour up to this height
};
void DrawBuilding(Painter& painter, Random random, const BuildingPlan& plan);
void CastBuildingShadow(Painter& painter, const BuildingPlan& plan);
// Far things that close the view: a strip from `left` to `right` (positions on the ground), `height` metres
// high.
void DrawSkyline(Painter& painter, Random random, Vec3 left, Vec3 right, float height);
void DrawTreeLine(Painter& painter, Random random, Vec3 left, Vec3 right, float height);

// synth_nature.cpp
void DrawSky(Painter& painter, Random random, float horizon, float cloudiness);
enum class TreeKind { kRound, kTall, kConifer, kBush };
struct TreePlan {
  Vec3 foot;
  TreeKind kind = TreeKind::kRound;
  float height = 7;
  Rgb leaf{0.25f, 0.4f, 0.14f};
};
Rgb LeafColor(Random& random, bool autumn);
void DrawTree(Painter& painter, Random random, const TreePlan& plan);
void CastTreeShadow(Painter& painter, const TreePlan& plan);
// A clipped hedge with its front face from `from` to `to`, `thickness` metres inward.
void DrawHedge(Painter& painter, Random random, Vec3 from, Vec3 to, Vec3 inward, float height,
               float thickness);

// synth_furniture.cpp
enum class FenceKind { kPlanks, kPickets, kRailing, kMesh };
void DrawFence(Painter& painter, Random random, Vec3 from, Vec3 to, FenceKind kind, float height, Rgb color);
void DrawWall(Painter& painter, Random random, Vec3 from, Vec3 to, float height, bool brick, Rgb color);
// `toward` points from the post to the road.
void DrawLampPost(Painter& painter, Random random, Vec3 foot, Vec3 toward, float height);
void DrawPost(Painter& painter, Random random, Vec3 foot, float height, float diameter);
void DrawSign(Painter& painter, Random random, Vec3 foot, Vec3 toward);
void DrawBoard(Painter& painter, Random random, Vec3 foot, Vec3 facing);
void DrawTrafficLight(Painter& painter, Random random, Vec3 foot, Vec3 toward);

// synth_vehicles.cpp
enum class VehicleKind { kHatchback, kSedan, kSuv, kVan, kTruck, kBus, kTram };
struct VehiclePlan {
  Vec3 centre;   // on the ground
  Vec3 heading;  // unit, level
  VehicleKind kind = VehicleKind::kHatchback;
};
float VehicleLength(VehicleKind kind);
void DrawVehicle(Painter& painter, Random random, const VehiclePlan& plan);
void CastVehicleShadow(Painter& painter, const VehiclePlan& plan);

// synth_people.cpp. `turn` is the angle between heading and view: 0 goes away, pi comes, pi/2 crosses to the
// right.
void DrawPedestrian(Painter& painter, Random random, Vec3 foot, float turn, float height);
void DrawCyclist(Painter& painter, Random random, Vec3 foot, float turn, bool motor);
void DrawParkedBicycle(Painter& painter, Random random, Vec3 foot, float turn, bool motor);
void CastFigureShadow(Painter& painter, Vec3 foot, float height, float half_width);

}  // namespace frf::synth
