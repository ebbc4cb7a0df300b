// SPDX-License-Identifier: Apache-2.0
// Chooses a street, its weather and the camera, and draws the ground.
// Subtle: ground is drawn in strips along the course, each one a plane of its own with texture coordinates
// that continue from strip to strip; a straight street is a single strip.
#include "data/synth_street.h"

namespace frf::synth {

Vec3 Street::At(float s, float t, float y) const {
  const float bent = s - bend_start;
  if (bent <= 0 || curvature == 0) return {t, y, s};
  const float angle = curvature * bent;
  const Vec3 centre{(1 - std::cos(angle)) / curvature, 0, bend_start + std::sin(angle) / curvature};
  const Vec3 right = Right(s);
  return {centre.x + right.x * t, y, centre.z + right.z * t};
}

Weather ChooseWeather(Random& random) {
  Weather w;
  const double kind = random.Uniform();
  float elevation = Between(random, 0.42, 1.1);
  const float azimuth = Between(random, 0, 6.2831853);
  w.light.haze_per_metre = Between(random, 0.0012, 0.0034);
  if (kind < 0.55) {  // sunny
    w.light.sun = Rgb{0.56f, 0.53f, 0.46f} * Between(random, 0.85, 1.1);
    w.light.ambient = Rgb{0.50f, 0.53f, 0.58f} * Between(random, 0.9, 1.1);
    w.light.haze = Vary(random, {0.80f, 0.87f, 0.94f}, 0.05f);
    w.cloudiness = random.Chance(0.25) ? 0.0f : Between(random, 0.15, 0.65);
  } else if (kind < 0.8) {  // overcast
    w.light.sun = {0.13f, 0.13f, 0.13f};
    w.light.ambient = Rgb{0.72f, 0.74f, 0.77f} * Between(random, 0.85, 1.08);
    w.light.haze = Vary(random, {0.80f, 0.82f, 0.85f}, 0.06f);
    w.light.shadows = false;
    w.cloudiness = Between(random, 0.85, 1.0);
    w.light.haze_per_metre *= 1.5f;
  } else if (kind < 0.9) {  // low sun
    elevation = Between(random, 0.13, 0.28);
    w.light.night = Between(random, 0.3, 0.85);
    w.light.sun = Rgb{0.52f, 0.34f, 0.18f} * (1.1f - 0.5f * w.light.night);
    w.light.ambient = Rgb{0.46f, 0.45f, 0.52f} * (1.08f - 0.35f * w.light.night);
    w.light.haze = Mix({0.94f, 0.74f, 0.54f}, {0.62f, 0.46f, 0.48f}, w.light.night * 0.7f);
    w.cloudiness = Between(random, 0.1, 0.7);
    w.light.shadow_keep = {0.66f, 0.66f, 0.72f};
  } else {  // mist
    w.light.sun = {0.2f, 0.2f, 0.19f};
    w.light.ambient = {0.66f, 0.68f, 0.70f};
    w.light.haze = Vary(random, {0.84f, 0.86f, 0.88f}, 0.04f);
    w.light.haze_per_metre = Between(random, 0.006, 0.012);
    w.light.shadows = random.Chance(0.4);
    w.light.shadow_keep = {0.78f, 0.79f, 0.8f};
    w.cloudiness = Between(random, 0.4, 1.0);
  }
  w.light.to_sun = {std::cos(elevation) * std::sin(azimuth), std::sin(elevation),
                    std::cos(elevation) * std::cos(azimuth)};
  const float warm = Between(random, -0.07, 0.07), exposure = Between(random, 0.82, 1.16);
  w.finish.gain = {exposure * (1 + warm), exposure, exposure * (1 - warm)};
  w.finish.gamma = Between(random, 0.85, 1.2);
  w.finish.saturation = Between(random, 0.7, 1.15);
  w.finish.vignette = random.Chance(0.5) ? Between(random, 0.0, 0.3) : 0.0f;
  w.finish.blur = random.Chance(0.6) ? Between(random, 0.1, 0.8) : 0.0f;
  w.finish.noise = Between(random, 1.0, 5.0);
  w.finish.seed = random.NextU64();
  return w;
}

namespace {

Side ChooseSide(Random& random, SideStyle style) {
  Side side;
  side.style = style;
  side.parking = random.Chance(0.5) ? Between(random, 2.0, 2.3) : 0.0f;
  side.pavement = style == SideStyle::kTown ? Between(random, 2.2, 4.4) : Between(random, 1.7, 2.8);
  side.verge = style != SideStyle::kTown && random.Chance(0.45) ? Between(random, 1.0, 2.0) : 0.0f;
  side.autumn = random.Chance(0.2);
  return side;
}

SideStyle ChooseStyle(Random& random) {
  const double kind = random.Uniform();
  return kind < 0.45 ? SideStyle::kTown : kind < 0.82 ? SideStyle::kHouses : SideStyle::kPark;
}

}  // namespace

Street ChooseStreet(Random& random, bool rare) {
  Street street;
  street.hand = random.Chance(0.5) ? 1 : -1;
  street.lanes = random.Chance(0.22) ? 2 : 1;
  street.lane = Between(random, 2.9, 3.5);
  const SideStyle left = ChooseStyle(random), right = random.Chance(0.6) ? left : ChooseStyle(random);
  street.sides[0] = ChooseSide(random, left);
  street.sides[1] = ChooseSide(random, right);
  if (random.Chance(0.4)) {
    street.curvature = Between(random, 0.003, 0.013) * (random.Chance(0.5) ? 1.0f : -1.0f);
    street.bend_start = Between(random, 5, 25);
    street.end = std::min(130.0f, street.bend_start + 1.25f / std::abs(street.curvature));
  } else {
    street.end = Between(random, 90, 160);
    street.bend_start = 1000;
  }
  if (random.Chance(0.5)) {
    street.junction_start = Between(random, 13, 32);
    street.junction_end = street.junction_start + Between(random, 6, 8.5);
    if (street.curvature != 0) {
      street.bend_start = street.junction_end + 4;
      street.end = std::min(140.0f, street.bend_start + 1.25f / std::abs(street.curvature));
    }
  }
  if (random.Chance(0.45))
    street.zebra = street.has_junction() ? street.junction_start - 4.2f : Between(random, 8, 20);
  street.signals = random.Chance(rare ? 0.75 : 0.55);
  street.cobbled = random.Chance(0.08);
  street.yellow = random.Chance(0.12);
  street.tram = rare && random.Chance(0.16);
  static constexpr Rgb kAsphalt[] = {
      {0.34f, 0.34f, 0.35f}, {0.42f, 0.42f, 0.42f}, {0.29f, 0.29f, 0.31f}, {0.46f, 0.45f, 0.43f}};
  static constexpr Rgb kSlabs[] = {{0.66f, 0.64f, 0.61f},
                                   {0.72f, 0.66f, 0.58f},
                                   {0.64f, 0.54f, 0.49f},
                                   {0.58f, 0.59f, 0.61f},
                                   {0.74f, 0.71f, 0.66f}};
  static constexpr Rgb kGrass[] = {
      {0.34f, 0.47f, 0.17f}, {0.42f, 0.50f, 0.21f}, {0.28f, 0.42f, 0.17f}, {0.50f, 0.50f, 0.24f}};
  street.asphalt = Vary(random, Pick(random, kAsphalt), 0.08f);
  street.slabs = Vary(random, Pick(random, kSlabs), 0.06f);
  street.grass = Vary(random, Pick(random, kGrass), 0.08f);
  street.yard = Vary(random, {0.62f, 0.60f, 0.56f}, 0.1f);
  street.pavement_texture = random.Chance(0.7)   ? Texture::kSlabs
                            : random.Chance(0.4) ? Texture::kBrick
                                                 : Texture::kPlain;
  return street;
}

Camera ChooseCamera(Random& random, const Street& street, int height, int width) {
  Camera camera;
  const float mean = std::sqrt(static_cast<float>(height) * static_cast<float>(width));
  camera.focal = 2 * mean * Between(random, 0.92, 1.22);
  camera.cx = static_cast<float>(width);
  camera.cy = static_cast<float>(height);
  const float lane = street.lanes == 2 && random.Chance(0.5) ? 1.5f : 0.5f;
  camera.position = {static_cast<float>(street.hand) * street.lane * (lane + Between(random, -0.12, 0.12)),
                     Between(random, 1.2, 2.0), 0};
  const float horizon = Between(random, 0.40, 0.54);  // as a share of the height
  const float pitch = std::atan((horizon - 0.5f) * 2 * static_cast<float>(height) / camera.focal);
  const float into_bend = street.curvature * std::max(0.0f, 18 - street.bend_start);
  camera.Turn(Between(random, -0.1, 0.1) + into_bend, pitch, Between(random, -0.015, 0.015));
  return camera;
}

namespace {

class Ground {
 public:
  Ground(Painter& painter, Random& random, const Street& street)
      : painter_(painter), random_(random), street_(street) {
    for (float s = -1.5f; s < street.end + 25;) {
      starts_.push_back(s);
      if (street.curvature == 0 || s < street.bend_start) {
        s = street.curvature == 0 ? street.end + 25 : street.bend_start;
      } else {
        s += 5;
      }
    }
    starts_.push_back(street.end + 25);
  }

  // A band of the street from t0 to t1 over its whole length.
  void Band(float t0, float t1, Rgb albedo, Thing thing, Texture texture) {
    Patch(starts_.front(), starts_.back(), t0, t1, albedo, thing, texture);
  }

  void Patch(float s0, float s1, float t0, float t1, Rgb albedo, Thing thing, Texture texture,
             float strength = 1) {
    const Rgb lit = painter_.Lit(albedo, {0, 1, 0});
    for (std::size_t i = 0; i + 1 < starts_.size(); ++i) {
      const float a = std::max(s0, starts_[i]), b = std::min(s1, starts_[i + 1]);
      if (a >= b) continue;
      const Vec3 along = street_.Along(a), right = street_.Right(a);
      const Vec3 corners[4] = {street_.At(a, t0), street_.At(a, t1), street_.At(b, t1), street_.At(b, t0)};
      painter_.FillTexture(corners, street_.At(a, 0) - along * a, right, along, lit, thing, texture,
                           strength);
    }
  }

  // A painted mark: flat, and left out where it would be thinner than half a sample.
  void Mark(float s0, float s1, float t0, float t1, Rgb paint) {
    if (painter_.PixelsPerMetre(street_.At(std::max(s0, 1.5f), (t0 + t1) / 2)) * std::abs(t1 - t0) < 0.4f)
      return;
    const Rgb lit = painter_.Lit(paint, {0, 1, 0});
    for (std::size_t i = 0; i + 1 < starts_.size(); ++i) {
      const float a = std::max(s0, starts_[i]), b = std::min(s1, starts_[i + 1]);
      if (a >= b) continue;
      const Vec3 corners[4] = {street_.At(a, t0), street_.At(a, t1), street_.At(b, t1), street_.At(b, t0)};
      painter_.FillTexture(corners, street_.At(a, 0), street_.Right(a), street_.Along(a), lit, kRoad,
                           Texture::kAsphalt, 0.7f);
    }
  }

  void Plots();
  void SideStreet();
  void Markings();
  void Wear();

 private:
  Rgb Plot(int sign, Thing* thing, Texture* texture) const {
    const bool town = street_.side(sign).style == SideStyle::kTown;
    *thing = town ? kPavement : kTerrain;
    *texture = town ? Texture::kPlain : Texture::kGrass;
    return town ? street_.yard : street_.grass;
  }

  Painter& painter_;
  Random& random_;
  const Street& street_;
  std::vector<float> starts_;
};

void Ground::Plots() {
  for (int sign : {-1, 1}) {
    Thing thing;
    Texture texture;
    const Rgb albedo = Plot(sign, &thing, &texture);
    const float far = 700 * static_cast<float>(sign);
    // Under the street itself nothing is drawn twice, except in bends, whose course leaves the plot's
    // straight edge.
    const bool straight = street_.curvature == 0;
    const float edge = straight ? street_.Kerb(sign) * static_cast<float>(sign) : 0;
    const Rgb lit = painter_.Lit(albedo, {0, 1, 0});
    const Vec3 whole[4] = {{edge, 0, -1.5f}, {far, 0, -1.5f}, {far, 0, 900}, {edge, 0, 900}};
    painter_.FillTexture(whole, {0, 0, 0}, {1, 0, 0}, {0, 0, 1}, lit, thing, texture);
    if (!straight) continue;
    const float end = starts_.back();
    const Vec3 beyond[4] = {{0, 0, end}, {edge, 0, end}, {edge, 0, 900}, {0, 0, 900}};
    painter_.FillTexture(beyond, {0, 0, 0}, {1, 0, 0}, {0, 0, 1}, lit, thing, texture);
  }
  for (int sign : {-1, 1}) {
    const float g = static_cast<float>(sign);
    const Side& side = street_.side(sign);
    if (street_.curvature != 0) {
      Thing thing;
      Texture texture;
      const Rgb albedo = Plot(sign, &thing, &texture);
      Band(street_.Kerb(sign) * g, std::min(40.0f, 0.7f / std::abs(street_.curvature)) * g, albedo, thing,
           texture);
    }
    if (side.verge > 0)
      Band(street_.Kerb(sign) * g, street_.PavementStart(sign) * g, street_.grass, kTerrain, Texture::kGrass);
    Band(street_.PavementStart(sign) * g, street_.PavementEnd(sign) * g, street_.slabs, kPavement,
         street_.pavement_texture);
  }
}

void Ground::SideStreet() {
  if (!street_.has_junction()) return;
  const float a = street_.junction_start, b = street_.junction_end;
  Patch(a - 2.2f, b + 2.2f, -150, 150, street_.slabs, kPavement, street_.pavement_texture);
  Patch(a - 0.15f, b + 0.15f, -150, 150, street_.slabs * 1.2f, kPavement, Texture::kPlain);
  Patch(a, b, -150, 150, street_.asphalt, kRoad, street_.cobbled ? Texture::kCobble : Texture::kAsphalt);
}

void Ground::Markings() {
  const Rgb paint = street_.yellow ? Rgb{0.88f, 0.72f, 0.22f} : Rgb{0.90f, 0.90f, 0.87f};
  const Rgb white{0.92f, 0.92f, 0.89f};
  const float reach = std::min(street_.end, 90.0f), wide = Between(random_, 0.12, 0.17);
  const bool dashed = random_.Chance(0.65), doubled = !dashed && random_.Chance(0.5);
  const float dash = Between(random_, 1.8, 4), gap = Between(random_, 2, 6), phase = Between(random_, 0, 6);
  const auto stop = [&](float s) {
    return street_.InJunction(s, 1.5f) || (street_.zebra > 0 && std::abs(s - street_.zebra) < 2.6f);
  };
  const auto line = [&](float t, bool broken, Rgb color) {
    const float step = broken ? dash + gap : 1.5f, length = broken ? dash : 1.5f;
    for (float s = -phase; s < reach; s += step) {
      if (!stop(s) && !stop(s + length)) Mark(s, s + length, t - wide / 2, t + wide / 2, color);
    }
  };
  if (random_.Chance(0.9)) {
    if (doubled) line(-0.16f, false, paint);
    line(doubled ? 0.16f : 0.0f, dashed, paint);
  }
  for (int sign : {-1, 1}) {
    const float g = static_cast<float>(sign);
    if (street_.lanes == 2) line(street_.lane * g, true, white);
    if (street_.side(sign).parking > 0)
      line(street_.lane * static_cast<float>(street_.lanes) * g, random_.Chance(0.5), white);
    else if (random_.Chance(0.5))
      line((street_.Kerb(sign) - 0.35f) * g, false, paint);
  }
  if (street_.zebra > 0) {
    for (float t = -street_.Kerb(-1) + 0.3f; t + 0.5f < street_.Kerb(1); t += 1.0f)
      Mark(street_.zebra - 1.6f, street_.zebra + 1.6f, t, t + 0.5f, white);
  }
  if (street_.has_junction()) {  // stop lines of both directions
    const float own = static_cast<float>(street_.hand) * street_.lane * static_cast<float>(street_.lanes);
    const float s = street_.zebra > 0 ? street_.zebra - 2.6f : street_.junction_start - 1.4f;
    Mark(s - 0.35f, s, std::min(0.1f, own), std::max(0.1f, own), white);
    Mark(street_.junction_end + 1.0f, street_.junction_end + 1.35f, std::min(-0.1f, -own),
         std::max(-0.1f, -own), white);
  }
  if (random_.Chance(0.3)) {  // an arrow in our lane
    const float s = Between(random_, 7, 13), t = static_cast<float>(street_.hand) * street_.lane / 2;
    if (!stop(s) && !stop(s + 3)) {
      Mark(s, s + 2.2f, t - 0.08f, t + 0.08f, white);
      const Vec3 head[3] = {street_.At(s + 2.2f, t - 0.35f), street_.At(s + 2.2f, t + 0.35f),
                            street_.At(s + 3.4f, t)};
      painter_.Fill(head, painter_.Lit(white, {0, 1, 0}), kRoad);
    }
  }
}

void Ground::Wear() {
  for (int sign : {-1, 1}) {  // where tyres run
    for (float t : {0.28f, 0.72f}) {
      const float at = street_.lane * t * static_cast<float>(sign);
      Patch(-1.5f, std::min(street_.end, 60.0f), at - 0.22f, at + 0.22f, street_.asphalt * 0.93f, kRoad,
            Texture::kAsphalt);
    }
  }
  const int patches = static_cast<int>(random_.Below(5));
  for (int i = 0; i < patches; ++i) {
    const float s = Between(random_, 3, 35),
                t = Between(random_, -street_.Kerb(-1) + 0.3f, street_.Kerb(1) - 2.0f);
    Patch(s, s + Between(random_, 0.8, 7), t, t + Between(random_, 0.6, 1.7),
          street_.asphalt * Between(random_, 0.72, 1.16), kRoad, Texture::kAsphalt);
  }
  const int covers = static_cast<int>(random_.Below(3));
  for (int i = 0; i < covers; ++i) {
    const Vec3 at = street_.At(Between(random_, 4, 18), Between(random_, -2.5, 2.5));
    painter_.Disc(at, {1, 0, 0}, {0, 0, 1}, 0.34f, painter_.Lit(street_.asphalt * 0.6f, {0, 1, 0}), kRoad);
    painter_.Disc(at, {1, 0, 0}, {0, 0, 1}, 0.27f, painter_.Lit(street_.asphalt * 0.8f, {0, 1, 0}), kRoad);
  }
}

}  // namespace

void DrawGround(Painter& painter, Random random, const Street& street) {
  Ground ground(painter, random, street);
  ground.Plots();
  ground.SideStreet();
  const Texture surface = street.cobbled ? Texture::kCobble : Texture::kAsphalt;
  ground.Band(-street.Kerb(-1), street.Kerb(1), street.asphalt, kRoad, surface);
  const bool gutter = random.Chance(0.5);
  for (int sign : {-1, 1}) {
    const float g = static_cast<float>(sign), kerb = street.Kerb(sign);
    const auto edge = [&](float s0, float s1) {
      ground.Patch(s0, s1, kerb * g, (kerb + 0.17f) * g, street.slabs * 1.2f, kPavement, Texture::kPlain);
      ground.Patch(s0, s1, (kerb - 0.08f) * g, kerb * g, street.slabs * 0.6f, kPavement, Texture::kPlain);
      if (gutter)
        ground.Patch(s0, s1, (kerb - 0.4f) * g, (kerb - 0.08f) * g, street.asphalt * 0.86f, kRoad,
                     Texture::kPlain);
    };
    if (street.has_junction()) {
      edge(-1.5f, street.junction_start);
      edge(street.junction_end, street.end);
    } else {
      edge(-1.5f, street.end);
    }
  }
  if (!street.cobbled) ground.Wear();
  ground.Markings();
  if (street.tram) {
    const float t = -static_cast<float>(street.hand) * street.lane / 2;
    for (float rail : {-0.72f, 0.72f})
      ground.Mark(-1, std::min(street.end, 80.0f), t + rail - 0.05f, t + rail + 0.05f, {0.5f, 0.5f, 0.52f});
  }
}

}  // namespace frf::synth
