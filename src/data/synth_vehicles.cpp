// SPDX-License-Identifier: Apache-2.0
// Cars, vans, lorries, buses and trams as extruded side views: a lower body, a narrower cabin, wheels, glass
// and lights. Subtle: every part is convex and parts are drawn from the ground up, so hidden faces need only
// the test which side of their plane the camera is on.
#include "data/synth_parts.h"

namespace frf::synth {
namespace {

struct Shape {
  float length, width, height, belt;  // belt: where the body ends and the cabin begins
  float hood;                         // height of the bonnet's front edge
  float rear_low, rear_top, front_top,
      front_low;                       // cabin corners along the length, from the rear (0) to the front (1)
  float wheel, rear_axle, front_axle;  // radius; axles along the length
  bool box;                            // lorry, bus, tram: the cabin is the body
  Thing thing;
};

constexpr Shape kShapes[] = {
    {3.9f, 1.72f, 1.47f, 0.92f, 0.78f, 0.02f, 0.09f, 0.55f, 0.74f, 0.31f, 0.17f, 0.81f, false,
     kCar},  // hatchback
    {4.6f, 1.80f, 1.43f, 0.92f, 0.76f, 0.16f, 0.27f, 0.56f, 0.72f, 0.32f, 0.20f, 0.81f, false,
     kCar},  // saloon
    {4.5f, 1.90f, 1.74f, 1.08f, 0.98f, 0.01f, 0.06f, 0.58f, 0.73f, 0.37f, 0.18f, 0.81f, false, kCar},   // SUV
    {5.0f, 1.95f, 2.05f, 1.12f, 0.98f, 0.005f, 0.02f, 0.76f, 0.90f, 0.34f, 0.18f, 0.82f, false, kCar},  // van
    {7.6f, 2.40f, 3.20f, 1.1f, 1.0f, 0, 0, 1, 1, 0.48f, 0.22f, 0.84f, true, kTruck},
    {11.0f, 2.50f, 3.05f, 1.1f, 1.0f, 0, 0, 1, 1, 0.50f, 0.26f, 0.77f, true, kBus},
    {18.0f, 2.55f, 3.45f, 1.1f, 1.0f, 0, 0, 1, 1, 0.40f, 0.18f, 0.82f, true, kTrain},
};

// The vehicle's own axes: along (rear to front), across (to its right), up.
struct Body {
  Painter& painter;
  const Shape& shape;
  Vec3 rear, along, across;
  Rgb paint;
  float pixels;  // per metre

  Vec3 At(float x, float side, float y) const { return rear + along * x + across * side + Vec3{0, y, 0}; }
  void Face(const Quad& quad, Vec3 normal, Rgb albedo) const {
    if (painter.Faces(quad.p[0], normal)) painter.Fill(quad, painter.Lit(albedo, normal), shape.thing);
  }
};

Rgb PaintColor(Random& random) {
  static constexpr Rgb kPaint[] = {{0.86f, 0.87f, 0.88f}, {0.62f, 0.64f, 0.67f}, {0.14f, 0.14f, 0.16f},
                                   {0.32f, 0.34f, 0.37f}, {0.66f, 0.10f, 0.10f}, {0.12f, 0.22f, 0.50f},
                                   {0.18f, 0.36f, 0.58f}, {0.12f, 0.30f, 0.22f}, {0.82f, 0.66f, 0.16f},
                                   {0.54f, 0.46f, 0.36f}, {0.80f, 0.36f, 0.12f}, {0.42f, 0.14f, 0.22f}};
  return Vary(random, Pick(random, kPaint), 0.12f);
}

void DrawWheels(const Body& body, int side, float inset) {
  const Shape& s = body.shape;
  const float out = (s.width / 2 - inset) * static_cast<float>(side);
  const Vec3 up{0, 1, 0};
  for (float axle : {s.rear_axle, s.front_axle}) {
    const Vec3 centre = body.At(axle * s.length, out, s.wheel);
    const Rgb rubber = body.painter.LitSoft({0.10f, 0.10f, 0.11f});
    // The tread, as seen from the ends.
    const Vec3 inner = body.across * (-0.22f * static_cast<float>(side));
    for (float end : {-0.8f, 0.8f}) {
      const Vec3 foot = centre + body.along * (end * s.wheel) - up * s.wheel;
      body.painter.Fill(
          Quad{{foot, foot + inner, foot + inner + up * (1.6f * s.wheel), foot + up * (1.6f * s.wheel)}},
          rubber * 0.8f, s.thing);
    }
    body.painter.Disc(centre, body.along, up, s.wheel, rubber, s.thing);
    if (inset > 0.3f) continue;
    const Rgb rim = body.painter.Lit({0.62f, 0.63f, 0.65f}, body.across * static_cast<float>(side));
    body.painter.Disc(centre, body.along, up, s.wheel * 0.64f, rim, s.thing);
    if (body.pixels * s.wheel > 9) {
      for (int spoke = 0; spoke < 5; ++spoke) {
        const float a = 1.2566f * static_cast<float>(spoke) + 0.4f;
        body.painter.Disc(
            centre + body.along * (0.38f * s.wheel * std::cos(a)) + up * (0.38f * s.wheel * std::sin(a)),
            body.along, up, s.wheel * 0.14f, rim * 0.35f, s.thing, 8);
      }
    }
    body.painter.Disc(centre, body.along, up, s.wheel * 0.14f, rim * 0.6f, s.thing, 8);
  }
}

// The lower body of a car: side view polygon on either side, and a quad across for each of its edges.
void DrawLowerBody(const Body& body) {
  const Shape& s = body.shape;
  const float l = s.length, w = s.width / 2;
  const Point side[] = {
      {0.03f * l, 0.22f},        {0, 0.45f},           {0.01f * l, s.belt - 0.1f}, {0.05f * l, s.belt},
      {s.front_low * l, s.belt}, {0.955f * l, s.hood}, {l, s.hood - 0.22f},        {l, 0.42f},
      {0.975f * l, 0.22f}};
  constexpr int kCount = 9;
  for (int i = 0; i < kCount; ++i) {
    const Point a = side[i], b = side[(i + 1) % kCount];
    const Vec3 normal = Unit(body.along * (a.y - b.y) + Vec3{0, b.x - a.x, 0});
    const bool bumper = (i == 0 || i == 7 || i == 8);
    body.Face({{body.At(a.x, -w, a.y), body.At(a.x, w, a.y), body.At(b.x, w, b.y), body.At(b.x, -w, b.y)}},
              normal, bumper ? Mix(body.paint, {0.14f, 0.14f, 0.15f}, 0.55f) : body.paint);
  }
  for (int hand = -1; hand <= 1; hand += 2) {
    const Vec3 normal = body.across * static_cast<float>(hand);
    if (!body.painter.Faces(body.At(0, w * static_cast<float>(hand), 0.5f), normal)) continue;
    const auto at = [&](float x, float y) { return body.At(x, w * static_cast<float>(hand), y); };
    Vec3 outline[kCount];
    for (int i = 0; i < kCount; ++i) outline[i] = at(side[i].x, side[i].y);
    const Rgb lit = body.painter.Lit(body.paint, normal);
    body.painter.Fill({outline, kCount}, lit, s.thing);
    const Quad sill{{at(0.03f * l, 0.22f), at(0.975f * l, 0.22f), at(0.99f * l, 0.4f), at(0.01f * l, 0.4f)}};
    body.painter.Fill(sill, lit * 0.6f, s.thing);
    const Quad shine{{at(0.03f * l, s.belt - 0.16f), at(0.93f * l, s.hood - 0.14f),
                      at(0.93f * l, s.hood - 0.08f), at(0.03f * l, s.belt - 0.08f)}};
    body.painter.Fill(shine, lit * 1.22f, s.thing);
    const Vec3 up{0, 1, 0};
    for (float axle : {s.rear_axle, s.front_axle}) {
      body.painter.Disc(at(axle * l, s.wheel * 1.05f), body.along, up, s.wheel * 1.2f, {0.05f, 0.05f, 0.06f},
                        s.thing);
    }
    if (body.pixels > 14) {
      for (float x : {0.30f, 0.50f, 0.70f}) {
        body.painter.Fill(Quad{{at(x * l, 0.34f), at(x * l + 0.025f, 0.34f), at(x * l + 0.025f, s.belt),
                                at(x * l, s.belt)}},
                          lit * 0.55f, s.thing);
      }
      body.painter.Fill(Quad{{at(0.33f * l, s.belt - 0.2f), at(0.37f * l, s.belt - 0.2f),
                              at(0.37f * l, s.belt - 0.15f), at(0.33f * l, s.belt - 0.15f)}},
                        lit * 0.5f, s.thing);
    }
  }
}

void DrawCabin(const Body& body) {
  const Shape& s = body.shape;
  const float l = s.length, w = s.width / 2 - 0.04f, top_w = w - 0.17f * (s.height - s.belt) / 0.5f * 0.8f;
  const float xr0 = s.rear_low * l, xr1 = s.rear_top * l, xf1 = s.front_top * l, xf0 = s.front_low * l;
  const auto bottom = [&](float x, float side) { return body.At(x, w * side, s.belt - 0.01f); };
  const auto top = [&](float x, float side) { return body.At(x, top_w * side, s.height); };
  const Rgb glass = Mix({0.10f, 0.13f, 0.16f}, body.painter.light.haze, 0.12f);
  const auto pane = [&](const Quad& quad, float bright) {
    body.painter.Fill(quad, Mix(glass * bright, body.painter.light.haze, 0.05f), s.thing);
  };
  const float rise = s.height - s.belt;
  const Quad roof{{top(xr1, -1), top(xr1, 1), top(xf1, 1), top(xf1, -1)}};
  body.Face(roof, {0, 1, 0}, body.paint);
  const Quad rear{{bottom(xr0, -1), bottom(xr0, 1), top(xr1, 1), top(xr1, -1)}};
  const Vec3 rear_normal = Unit(body.along * -rise + Vec3{0, std::max(xr1 - xr0, 0.01f), 0});
  if (body.painter.Faces(rear.p[0], rear_normal)) {
    body.painter.Fill(rear, body.painter.Lit(body.paint, rear_normal), s.thing);
    pane(rear.Part(0.07f, 0.12f, 0.93f, 0.88f), 1.0f);
    pane(rear.Part(0.07f, 0.5f, 0.93f, 0.88f), 1.5f);
    if (body.pixels > 16) {
      for (float u : {0.2f, 0.6f})
        body.painter.Fill(rear.Part(u, 0.12f, u + 0.18f, 0.5f), glass * 0.55f, s.thing);  // headrests
    }
  }
  const Quad front{{bottom(xf0, -1), bottom(xf0, 1), top(xf1, 1), top(xf1, -1)}};
  const Vec3 front_normal = Unit(body.along * rise + Vec3{0, xf0 - xf1, 0});
  if (body.painter.Faces(front.p[0], front_normal)) {
    body.painter.Fill(front, body.painter.Lit(body.paint, front_normal), s.thing);
    pane(front.Part(0.05f, 0.06f, 0.95f, 0.92f), 1.2f);
    const Vec3 glare[4] = {front.At(0.15f, 0.06f), front.At(0.35f, 0.06f), front.At(0.6f, 0.92f),
                           front.At(0.4f, 0.92f)};
    body.painter.Fill(glare, Mix(glass, body.painter.light.haze, 0.3f), s.thing);
  }
  for (int hand = -1; hand <= 1; hand += 2) {
    const float h = static_cast<float>(hand);
    const Vec3 normal = Unit(body.across * h + Vec3{0, (w - top_w) / rise, 0});
    const Quad side{{bottom(xr0, h), bottom(xf0, h), top(xf1, h), top(xr1, h)}};
    if (!body.painter.Faces(side.p[0], normal)) continue;
    body.painter.Fill(side, body.painter.Lit(body.paint, normal), s.thing);
    const bool van = &s == &kShapes[static_cast<int>(VehicleKind::kVan)];
    if (!van) pane(side.Part(0.07f, 0.14f, 0.44f, 0.86f), 1.0f);
    pane(side.Part(van ? 0.72f : 0.49f, 0.14f, 0.92f, 0.86f), 1.25f);
  }
}

void DrawEnds(const Body& body, Random& random, float low, float high) {
  const Shape& s = body.shape;
  const float w = s.width / 2;
  const float night = body.painter.light.night;
  const bool braking = random.Chance(0.35);
  for (int end = 0; end < 2; ++end) {
    const Vec3 normal = end == 0 ? body.along * -1 : body.along;
    const float x = end == 0 ? -0.01f : s.length + 0.01f;
    if (!body.painter.Faces(body.At(x, 0, 0.5f), normal)) continue;
    const auto block = [&](float u0, float v0, float u1, float v1, Rgb c) {
      body.painter.Fill(
          Quad{{body.At(x, u0, v0), body.At(x, u1, v0), body.At(x, u1, v1), body.At(x, u0, v1)}}, c, s.thing);
    };
    block(-w, 0.24f, w, s.box ? 0.42f : 0.36f, body.painter.LitSoft({0.13f, 0.13f, 0.14f}));
    const Rgb plate = body.painter.LitSoft(end == 0 && random.Chance(0.5) ? Rgb{0.92f, 0.78f, 0.22f}
                                                                          : Rgb{0.92f, 0.92f, 0.9f});
    block(-0.27f, low - 0.05f, 0.27f, low + 0.08f, plate);
    block(-0.2f, low - 0.01f, 0.2f, low + 0.04f, {0.15f, 0.15f, 0.17f});
    if (end == 1) {
      block(-w * 0.5f, low + 0.11f, w * 0.5f, high - 0.05f,
            body.painter.LitSoft({0.10f, 0.10f, 0.11f}));  // grille
    }
    for (int hand = -1; hand <= 1; hand += 2) {
      const float u0 = static_cast<float>(hand) * w * 0.97f, u1 = static_cast<float>(hand) * w * 0.66f;
      const Rgb lamp = end == 0
                           ? (braking ? Rgb{0.98f, 0.14f, 0.10f} : Rgb{0.66f + 0.25f * night, 0.07f, 0.07f})
                           : Mix(Rgb{0.80f, 0.82f, 0.84f}, {1.0f, 0.98f, 0.86f}, night);
      block(u0, high - 0.2f, u1, high, lamp);
      if (end == 0) block(u0, high - 0.07f, u1, high - 0.02f, {0.9f, 0.5f, 0.2f});
    }
  }
}

// Lorry, bus, tram: one box with its windows.
void DrawBox(const Body& body, Random& random) {
  const Shape& s = body.shape;
  const float l = s.length, w = s.width / 2, low = s.thing == kTrain ? 0.22f : 0.38f, h = s.height;
  const bool truck = s.thing == kTruck;
  const Rgb second = truck                ? Rgb{0.86f, 0.85f, 0.82f}
                     : random.Chance(0.5) ? Rgb{0.92f, 0.91f, 0.88f}
                                          : body.paint * 0.7f;
  const Rgb glass =
      Mix({0.12f, 0.15f, 0.18f}, body.painter.light.haze, 0.15f + 0.1f * body.painter.light.night);
  const float cab = truck ? 0.76f : 1.0f;  // where the cab of a lorry begins
  const auto part = [&](float x0, float x1, float y0, float y1, Rgb color) {
    const Vec3 c[8] = {body.At(x0, -w, y0), body.At(x0, w, y0), body.At(x1, w, y0), body.At(x1, -w, y0),
                       body.At(x0, -w, y1), body.At(x0, w, y1), body.At(x1, w, y1), body.At(x1, -w, y1)};
    body.Face({{c[4], c[5], c[6], c[7]}}, {0, 1, 0}, color);
    body.Face({{c[0], c[1], c[5], c[4]}}, body.along * -1, color);
    body.Face({{c[3], c[2], c[6], c[7]}}, body.along, color);
    body.Face({{c[0], c[3], c[7], c[4]}}, body.across * -1, color);
    body.Face({{c[1], c[2], c[6], c[5]}}, body.across, color);
  };
  if (truck) {
    const bool cab_first =
        !body.painter.Faces(body.At(cab * l, 0, 1), body.along);  // seen from behind: far part first
    if (cab_first) part(cab * l + 0.1f, l, low, h * 0.82f, body.paint);
    part(0, cab * l, low + 0.3f, h, second);
    if (!cab_first) part(cab * l + 0.1f, l, low, h * 0.82f, body.paint);
  } else {
    part(0, l, low, h, body.paint);
  }
  for (int hand = -1; hand <= 1; hand += 2) {
    const Vec3 normal = body.across * static_cast<float>(hand);
    const float out = (w + 0.01f) * static_cast<float>(hand);
    if (!body.painter.Faces(body.At(0, out, 1), normal)) continue;
    const auto block = [&](float x0, float y0, float x1, float y1, Rgb c) {
      body.painter.Fill(
          Quad{{body.At(x0, out, y0), body.At(x1, out, y0), body.At(x1, out, y1), body.At(x0, out, y1)}}, c,
          s.thing);
    };
    if (truck) {
      block(cab * l + 0.5f, h * 0.5f, l - 0.25f, h * 0.76f, glass);
      block(0.4f, h * 0.5f, cab * l - 0.4f, h * 0.72f, body.painter.Lit(body.paint, normal));
      block(0, low + 0.2f, cab * l, low + 0.34f, body.painter.Lit({0.25f, 0.25f, 0.26f}, normal));
      continue;
    }
    block(0, low, l, low + 0.5f, body.painter.Lit(second, normal));
    block(0, h - 0.25f, l, h, body.painter.Lit(second, normal));
    block(0.2f, h * 0.42f, l - 0.2f, h * 0.82f, glass);
    const int bays = static_cast<int>(l / 1.6f);
    for (int i = 1; i < bays; ++i) {
      const float x = l * static_cast<float>(i) / static_cast<float>(bays);
      block(x - 0.06f, h * 0.42f, x + 0.06f, h * 0.82f, body.painter.Lit(body.paint * 0.6f, normal));
    }
    for (float x : {0.30f, 0.62f, 0.88f})
      block(x * l - 0.55f, low + 0.05f, x * l + 0.55f, h * 0.8f, glass * 0.85f);  // doors
  }
  for (int end = 0; end < 2; ++end) {
    const Vec3 normal = end == 0 ? body.along * -1 : body.along;
    const float x = end == 0 ? -0.02f : l + 0.02f;
    if (!body.painter.Faces(body.At(x, 0, 1), normal)) continue;
    const auto block = [&](float u0, float v0, float u1, float v1, Rgb c) {
      body.painter.Fill(Quad{{body.At(x, u0 * w, v0), body.At(x, u1 * w, v0), body.At(x, u1 * w, v1),
                              body.At(x, u0 * w, v1)}},
                        c, s.thing);
    };
    if (truck && end == 0) {
      block(-0.02f, low + 0.35f, 0.02f, h - 0.08f, body.painter.LitSoft({0.35f, 0.35f, 0.36f}));
      block(-0.94f, h - 0.12f, 0.94f, h - 0.06f, body.painter.LitSoft(body.paint));
    } else {
      const float ceiling = truck ? h * 0.78f : h * 0.84f;
      block(-0.92f, h * (truck ? 0.5f : 0.44f), 0.92f, ceiling, glass);
      block(-0.3f, h * 0.5f, 0.1f, ceiling, Mix(glass, body.painter.light.haze, 0.2f));
      if (!truck)
        block(-0.7f, h * 0.86f, 0.7f, h * 0.94f,
              end == 1 ? Rgb{0.95f, 0.62f, 0.14f} : glass * 0.7f);  // destination
    }
  }
}

}  // namespace

float VehicleLength(VehicleKind kind) { return kShapes[static_cast<int>(kind)].length; }

void DrawVehicle(Painter& painter, Random random, const VehiclePlan& plan) {
  const Shape& shape = kShapes[static_cast<int>(plan.kind)];
  const Vec3 across{plan.heading.z, 0, -plan.heading.x};
  Rgb paint = PaintColor(random);
  if (shape.thing == kTrain)
    paint = Vary(random, random.Chance(0.5) ? Rgb{0.86f, 0.80f, 0.30f} : Rgb{0.70f, 0.12f, 0.14f}, 0.1f);
  if (shape.thing == kBus && random.Chance(0.5)) paint = Vary(random, {0.72f, 0.14f, 0.12f}, 0.2f);
  const Body body{painter,
                  shape,
                  plan.centre - plan.heading * (shape.length / 2),
                  plan.heading,
                  across,
                  paint,
                  painter.PixelsPerMetre(plan.centre)};
  if (body.pixels <= 0) return;
  const int near = painter.Faces(plan.centre, across) ? 1 : -1;
  DrawWheels(body, -near, 0.02f);
  const float w = shape.width / 2 - 0.1f;
  for (float x : {0.1f, shape.length - 0.1f}) {  // the dark below the floor
    const Quad floor{{body.At(x, -w, 0.2f), body.At(x, w, 0.2f), body.At(x, w, 0.5f), body.At(x, -w, 0.5f)}};
    painter.Fill(floor, {0.05f, 0.05f, 0.06f}, shape.thing);
  }
  if (shape.box) {
    DrawBox(body, random);
    DrawEnds(body, random, 0.62f, 1.05f);
  } else {
    DrawLowerBody(body);
    DrawCabin(body);
    DrawEnds(body, random, 0.5f, shape.belt - 0.12f);
    if (painter.Faces(plan.centre + across * (shape.width / 2 * static_cast<float>(near)),
                      across * static_cast<float>(near)) &&
        body.pixels > 12) {
      const Vec3 mirror = body.At(shape.front_low * shape.length - 0.25f,
                                  (shape.width / 2 + 0.1f) * static_cast<float>(near), shape.belt + 0.08f);
      painter.Disc(mirror, plan.heading, {0, 1, 0}, 0.12f, painter.LitSoft(paint * 0.8f), shape.thing, 8);
    }
  }
  DrawWheels(body, near, shape.box ? 0.0f : -0.01f);
}

void CastVehicleShadow(Painter& painter, const VehiclePlan& plan) {
  const Shape& s = kShapes[static_cast<int>(plan.kind)];
  const Vec3 across = Vec3{plan.heading.z, 0, -plan.heading.x} * (s.width / 2),
             half = plan.heading * (s.length / 2);
  const Vec3 base[4] = {plan.centre - across - half, plan.centre + across - half, plan.centre + across + half,
                        plan.centre - across + half};
  Vec3 points[8];
  for (int i = 0; i < 4; ++i) {
    points[i] = base[i];
    points[4 + i] = Lerp(base[i], plan.centre, 0.12f) + Vec3{0, s.height * 0.95f, 0};
  }
  const Vec3 wide[4] = {Lerp(plan.centre, base[0], 1.08f), Lerp(plan.centre, base[1], 1.08f),
                        Lerp(plan.centre, base[2], 1.08f), Lerp(plan.centre, base[3], 1.08f)};
  painter.Shade(wide, {0.42f, 0.42f, 0.45f});  // the dark under the car, in any weather
  painter.CastShadow(points);
}

}  // namespace frf::synth
