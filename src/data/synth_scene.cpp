// SPDX-License-Identifier: Apache-2.0
// Draws a planned scene, and the public DrawScene.
// Subtle: shadows fall right after the ground and before anything stands on it, so they darken ground alone.
#include "data/synth_scene.h"

#include <fmt/format.h>

#include "frf/error.h"

namespace frf {
namespace synth {

Scene::Scene(std::uint64_t seed, const SceneSpec& spec)
    : seed_(seed), rare_(spec.variant == "cityscapes"), random_(seed, 1), painter_(spec.height, spec.width) {
  Random weather(seed, 2), street(seed, 3), view(seed, 4);
  weather_ = ChooseWeather(weather);
  painter_.light = weather_.light;
  street_ = ChooseStreet(street, rare_);
  painter_.camera = ChooseCamera(view, street_, spec.height, spec.width);
  // Limits in pixels hold at the default size; other sizes scale with the focal length.
  unit_ = std::sqrt(static_cast<float>(spec.height) * static_cast<float>(spec.width)) / 415.7f;
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

}  // namespace synth

namespace {

using synth::kThings;

// Class ids by Thing. CamVid's eleven follow its published grouping: walls are buildings, grass is trees,
// traffic lights are signs, all motor vehicles but motorcycles are cars, and riders and what they ride are
// bicyclists.
constexpr std::uint8_t kCamVidIds[kThings] = {3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10};
constexpr std::uint8_t kCityscapesIds[kThings] = {0,  1,  2,  3,  4,  5,  6,  7,  8, 9,
                                                  10, 11, 12, 13, 14, 15, 16, 17, 18};

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
  synth::Scene scene(seed, spec);
  scene.Draw();
  Sample sample;
  sample.name = fmt::format("synth/{:08}", seed);
  scene.Finish(spec.variant == "camvid" ? kCamVidIds : kCityscapesIds, sample);
  return sample;
}

}  // namespace frf
