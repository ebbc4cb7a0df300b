// SPDX-License-Identifier: Apache-2.0
// Pedestrians, cyclists, motorcyclists and parked bicycles, as jointed flat figures.
// Subtle: a bicycle's side view is squeezed by the sine of its heading; close to the view's direction it is
// drawn from behind or in front instead. What shows through a wheel is labelled as the vehicle.
#include "data/synth_parts.h"

namespace frf::synth {
namespace {

struct Clothes {
  Rgb skin, hair, top, legs, shoes;
};

Clothes Dress(Painter& painter, Random& random) {
  static constexpr Rgb kSkin[] = {
      {0.92f, 0.74f, 0.62f}, {0.80f, 0.58f, 0.44f}, {0.58f, 0.38f, 0.26f}, {0.38f, 0.25f, 0.18f}};
  static constexpr Rgb kHair[] = {
      {0.12f, 0.09f, 0.07f}, {0.30f, 0.20f, 0.12f}, {0.62f, 0.46f, 0.24f}, {0.60f, 0.58f, 0.56f}};
  static constexpr Rgb kTop[] = {{0.74f, 0.16f, 0.16f}, {0.14f, 0.22f, 0.44f}, {0.18f, 0.18f, 0.20f},
                                 {0.86f, 0.84f, 0.80f}, {0.86f, 0.64f, 0.14f}, {0.16f, 0.42f, 0.36f},
                                 {0.46f, 0.22f, 0.46f}, {0.44f, 0.36f, 0.28f}, {0.40f, 0.56f, 0.72f},
                                 {0.86f, 0.42f, 0.40f}};
  static constexpr Rgb kLegs[] = {{0.16f, 0.20f, 0.34f},
                                  {0.12f, 0.12f, 0.14f},
                                  {0.46f, 0.40f, 0.30f},
                                  {0.34f, 0.36f, 0.38f},
                                  {0.26f, 0.34f, 0.50f}};
  return {painter.LitSoft(Vary(random, Pick(random, kSkin), 0.06f)), painter.LitSoft(Pick(random, kHair)),
          painter.LitSoft(Vary(random, Pick(random, kTop), 0.15f)),
          painter.LitSoft(Vary(random, Pick(random, kLegs), 0.15f)),
          painter.LitSoft(Vary(random, {0.16f, 0.13f, 0.12f}, 0.4f))};
}

void DrawHead(Figure& f, float u, float v, float k, float look, const Clothes& c, bool from_behind,
              bool helmet, Rgb shell, Thing thing) {
  f.Limb(u, v - 0.2f * k, u, v - 0.08f * k, 0.06f * k, 0.06f * k, c.skin * 0.85f, thing);
  f.Ellipse(u, v, 0.105f * k, 0.135f * k, from_behind ? c.hair : c.skin, thing);
  if (!from_behind) f.Ellipse(u - 0.03f * k * look, v + 0.055f * k, 0.112f * k, 0.09f * k, c.hair, thing);
  if (helmet) f.Ellipse(u - 0.01f * look * k, v + 0.06f * k, 0.135f * k, 0.1f * k, shell, thing);
}

}  // namespace

void DrawPedestrian(Painter& painter, Random random, Vec3 foot, float turn, float height) {
  Figure f(painter, foot);
  if (!f.visible()) return;
  const float k = height / 1.75f;
  const Clothes c = Dress(painter, random);
  const float sideways = std::sin(turn);  // +1 walks to the right
  const bool side = std::abs(sideways) > 0.5f, behind = std::cos(turn) > 0;
  const float look = side ? (sideways > 0 ? 1.0f : -1.0f) : 0.0f;
  const float stride = Between(random, 0.05, 0.34) * k, phase = random.Chance(0.5) ? 1.0f : -1.0f;
  const float hip = 0.88f * k, shoulder = 1.42f * k, half = (side ? 0.14f : 0.2f) * k;
  const bool skirt = random.Chance(0.2), coat = random.Chance(0.3);
  const Rgb legs = skirt ? c.skin : c.legs;
  // Far leg and arm first.
  for (int i = 0; i < 2; ++i) {
    const float hand = i == 0 ? -phase : phase, tone = i == 0 ? 0.74f : 1.0f;
    const float u0 = side ? 0.0f : hand * 0.09f * k;
    const float u1 = side ? hand * stride : hand * 0.1f * k;
    const float knee = (side ? hand * stride * 0.55f + look * 0.05f * k : u1);
    const float lift = side && i == 0 ? 0.06f * k : (side ? 0.0f : (i == 0 ? 0.05f * k : 0.0f));
    f.Limb(u0, hip, knee, 0.47f * k, 0.105f * k, 0.078f * k, legs * tone, kPerson);
    f.Limb(knee, 0.47f * k, u1, 0.07f * k + lift, 0.078f * k, 0.055f * k, legs * tone, kPerson);
    f.Limb(u1 - 0.03f * look * k, 0.05f * k + lift, u1 + 0.1f * look * k, 0.045f * k + lift, 0.055f * k,
           0.045f * k, c.shoes, kPerson);
    if (i == 0) {  // the far arm swings against the far leg
      const float a0 = side ? 0.0f : -half, a1 = side ? stride * 0.8f * -hand : -half - 0.07f * k;
      f.Limb(a0, shoulder - 0.05f * k, a1, 0.86f * k, 0.06f * k, 0.045f * k, c.top * 0.7f, kPerson);
    }
  }
  const float hem = coat ? 0.62f * k : skirt ? 0.6f * k : hip - 0.06f * k;
  const Point torso[6] = {{-half * 0.92f, hem},      {half * 0.92f, hem},
                          {half * 0.9f, 1.1f * k},   {half * 1.06f, shoulder - 0.04f * k},
                          {0, shoulder + 0.06f * k}, {-half * 1.06f, shoulder - 0.04f * k}};
  f.Polygon(torso, c.top, kPerson);
  if (skirt && !coat) {
    const Point cloth[4] = {{-half * 1.1f, hem - 0.05f * k},
                            {half * 1.1f, hem - 0.05f * k},
                            {half * 0.8f, 0.98f * k},
                            {-half * 0.8f, 0.98f * k}};
    f.Polygon(cloth, c.legs, kPerson);
  }
  const float lee =
      Dot(painter.light.to_sun, painter.camera.right) > 0 ? -1.0f : 1.0f;  // shaded side of the torso
  const Point shade[4] = {{lee * half * 0.3f, hem},
                          {lee * half * 0.92f, hem},
                          {lee * half * 1.06f, shoulder - 0.04f * k},
                          {lee * half * 0.4f, shoulder}};
  f.Polygon(shade, c.top * 0.78f, kPerson);
  const float near_hand = side ? stride * 0.8f * -phase : half + 0.07f * k;
  f.Limb(side ? 0.0f : half * 0.98f, shoulder - 0.05f * k, near_hand, 0.88f * k, 0.062f * k, 0.048f * k,
         c.top * 0.88f, kPerson);
  f.Ellipse(near_hand, 0.82f * k, 0.05f * k, 0.06f * k, c.skin, kPerson, 8);
  DrawHead(f, look * 0.02f * k, 1.6f * k, k, look, c, behind && !side, false, c.hair, kPerson);
  if (random.Chance(0.3)) {  // rucksack or bag
    const Rgb bag = painter.LitSoft(Vary(random, {0.4f, 0.25f, 0.2f}, 0.5f));
    if (side)
      f.Ellipse(-look * half * 1.25f, 1.2f * k, 0.11f * k, 0.2f * k, bag, kPerson, 12);
    else if (behind)
      f.Ellipse(0, 1.2f * k, 0.15f * k, 0.2f * k, bag, kPerson, 12);
    else
      f.Ellipse(half + 0.1f * k, 0.72f * k, 0.12f * k, 0.13f * k, bag, kPerson, 12);
  }
}

namespace {

void DrawBicycleSide(Painter& painter, Figure& f, float squeeze, float look, Rgb frame, bool motor,
                     Thing thing) {
  const float r = motor ? 0.31f : 0.34f, base = (motor ? 0.68f : 0.53f) * squeeze * look;
  const Rgb tyre = painter.LitSoft({0.09f, 0.09f, 0.10f}), metal = painter.LitSoft({0.6f, 0.6f, 0.62f});
  for (float end : {-1.0f, 1.0f}) {
    const float u = base * end;
    f.RelabelEllipse(u, r, r * squeeze, r, metal * 0.6f, motor ? 0.85f : 0.32f, thing);
    f.Ring(u, r, r * squeeze, r, motor ? 0.11f : 0.055f, tyre, thing);
    f.Ellipse(u, r, 0.05f * squeeze + 0.01f, 0.05f, metal, thing, 8);
  }
  const float t = motor ? 0.05f : 0.032f;
  if (motor) {
    const Point hull[6] = {{-base * 0.9f, 0.62f}, {-base * 0.5f, 0.34f}, {base * 0.4f, 0.3f},
                           {base * 0.75f, 0.8f},  {base * 0.35f, 0.95f}, {-base * 0.3f, 0.8f}};
    f.Polygon(hull, frame, thing);
    f.Limb(-base * 0.9f, 0.78f, base * 0.1f, 0.84f, 0.07f, 0.06f, tyre, thing);
    f.Limb(base, r, base * 0.7f, 1.02f, t, t, metal, thing);
    f.Ellipse(base * 0.86f, 0.85f, 0.09f * squeeze + 0.02f, 0.09f, painter.LitSoft({0.95f, 0.93f, 0.8f}),
              thing, 10);
    return;
  }
  const float crank = -0.06f * base, seat = -0.3f * base, head = 0.72f * base;
  f.Limb(-base, r, crank, 0.29f, t, t, frame, thing);
  f.Limb(-base, r, seat, 0.72f, t * 0.8f, t * 0.8f, frame, thing);
  f.Limb(crank, 0.29f, seat, 0.88f, t, t, frame, thing);
  f.Limb(crank, 0.29f, head, 0.76f, t * 1.2f, t * 1.2f, frame, thing);
  f.Limb(seat, 0.76f, head, 0.86f, t, t, frame, thing);
  f.Limb(base, r, head * 0.96f, 1.0f, t, t, frame, thing);
  f.Limb(head * 0.9f, 1.02f, head * 1.1f, 1.0f, t, t, tyre, thing);
  f.Limb(seat * 1.3f, 0.92f, seat * 0.5f, 0.92f, 0.045f, 0.03f, tyre, thing);
}

void DrawRiderSide(Figure& f, float squeeze, float look, const Clothes& c, bool motor, bool helmet, Rgb shell,
                   float pedal) {
  const float b = 0.53f * squeeze * look;
  const float hip_u = -0.28f * b, hip_v = motor ? 0.9f : 1.0f, shoulder_u = 0.2f * b, shoulder_v = 1.42f;
  const float foot_u = motor ? 0.1f * b : b * 0.3f * std::cos(pedal),
              foot_v = motor ? 0.35f : 0.29f + 0.15f * std::sin(pedal);
  f.Limb(hip_u, hip_v, b * 0.35f, 0.68f + 0.05f * std::sin(pedal), 0.1f, 0.08f, c.legs * 0.75f, kRider);
  f.Limb(b * 0.35f, 0.68f + 0.05f * std::sin(pedal), -foot_u * 0.8f, 0.58f - foot_v * 0.6f, 0.075f, 0.055f,
         c.legs * 0.75f, kRider);
  f.Limb(hip_u, hip_v, shoulder_u, shoulder_v, 0.15f, 0.15f, c.top, kRider);
  f.Limb(hip_u, hip_v, b * 0.42f, 0.72f, 0.11f, 0.085f, c.legs, kRider);
  f.Limb(b * 0.42f, 0.72f, foot_u, foot_v + 0.04f, 0.08f, 0.06f, c.legs, kRider);
  f.Limb(foot_u, foot_v, foot_u + 0.12f * look * squeeze, foot_v - 0.01f, 0.05f, 0.04f, c.shoes, kRider);
  f.Limb(shoulder_u, shoulder_v - 0.05f, b * 0.62f, 1.12f, 0.065f, 0.05f, c.top * 0.86f, kRider);
  f.Limb(b * 0.62f, 1.12f, b * 0.78f, 1.04f, 0.05f, 0.045f, c.skin, kRider);
  DrawHead(f, shoulder_u + 0.1f * b, 1.67f, 1.0f, look, c, false, helmet, shell, kRider);
}

void DrawCyclistEnd(Painter& painter, Figure& f, const Clothes& c, Rgb frame, bool motor, bool behind,
                    bool helmet, Rgb shell, float pedal) {
  const Rgb tyre = painter.LitSoft({0.09f, 0.09f, 0.10f});
  const Thing ride = motor ? kMotorcycle : kBicycle;
  const float w = motor ? 0.1f : 0.045f;
  f.Ellipse(0, 0.34f, w, 0.34f, tyre, ride, 14);
  f.Limb(0, 0.35f, 0, 0.9f, motor ? 0.16f : 0.035f, motor ? 0.2f : 0.035f, frame, ride);
  f.Limb(-0.28f, 1.02f, 0.28f, 1.02f, 0.025f, 0.025f, tyre, ride);
  const float swing = 0.13f * std::sin(pedal);
  for (float hand : {-1.0f, 1.0f}) {
    const float lift = motor ? 0.05f : swing * hand;
    f.Limb(hand * 0.1f, 0.95f, hand * 0.16f, 0.66f + lift * 0.6f, 0.1f, 0.08f, c.legs, kRider);
    f.Limb(hand * 0.16f, 0.66f + lift * 0.6f, hand * 0.13f, 0.3f + lift, 0.08f, 0.055f, c.legs * 0.86f,
           kRider);
    f.Ellipse(hand * 0.13f, 0.25f + lift, 0.06f, 0.05f, c.shoes, kRider, 8);
    f.Limb(hand * 0.2f, 1.4f, hand * 0.29f, 1.05f, 0.06f, 0.05f, c.top * 0.85f, kRider);
  }
  f.Ellipse(0, 0.97f, 0.19f, 0.13f, c.legs, kRider, 12);
  const Point torso[5] = {{-0.17f, 0.93f}, {0.17f, 0.93f}, {0.23f, 1.38f}, {0, 1.5f}, {-0.23f, 1.38f}};
  f.Polygon(torso, c.top, kRider);
  DrawHead(f, 0, 1.66f, 1, 0, c, behind, helmet, shell, kRider);
  if (behind)
    f.Ellipse(0, motor ? 0.7f : 0.62f, 0.05f, 0.04f, {0.9f, 0.12f, 0.1f}, ride, 8);
  else if (motor)
    f.Ellipse(0, 0.85f, 0.1f, 0.1f, {0.97f, 0.95f, 0.85f}, ride, 10);
}

}  // namespace

void DrawCyclist(Painter& painter, Random random, Vec3 foot, float turn, bool motor) {
  Figure f(painter, foot);
  if (!f.visible()) return;
  const Clothes c = Dress(painter, random);
  const Rgb frame = painter.LitSoft(
      Vary(random, {Between(random, 0.1, 0.8), Between(random, 0.1, 0.5), Between(random, 0.1, 0.6)}, 0.1f));
  const Rgb shell = painter.LitSoft(
      Vary(random, {Between(random, 0.2, 0.95), Between(random, 0.2, 0.9), Between(random, 0.2, 0.9)}, 0.1f));
  const bool helmet = motor || random.Chance(0.6);
  const float pedal = Between(random, 0, 6.28), sideways = std::sin(turn);
  if (std::abs(sideways) < 0.42f) {
    DrawCyclistEnd(painter, f, c, frame, motor, std::cos(turn) > 0, helmet, shell, pedal);
    return;
  }
  const float look = sideways > 0 ? 1.0f : -1.0f, squeeze = std::abs(sideways);
  DrawBicycleSide(painter, f, squeeze, look, frame, motor, motor ? kMotorcycle : kBicycle);
  DrawRiderSide(f, squeeze, look, c, motor, helmet, shell, pedal);
}

void DrawParkedBicycle(Painter& painter, Random random, Vec3 foot, float turn, bool motor) {
  Figure f(painter, foot);
  if (!f.visible()) return;
  const Rgb frame = painter.LitSoft(
      Vary(random, {Between(random, 0.1, 0.8), Between(random, 0.1, 0.5), Between(random, 0.1, 0.6)}, 0.1f));
  const float sideways = std::sin(turn);
  DrawBicycleSide(painter, f, std::max(std::abs(sideways), 0.45f), sideways > 0 ? 1.0f : -1.0f, frame, motor,
                  motor ? kMotorcycle : kBicycle);
}

void CastFigureShadow(Painter& painter, Vec3 foot, float height, float half_width) {
  const Vec3 side{half_width, 0, 0};
  const Vec3 up{0, height, 0};
  const Vec3 low[4] = {foot - side * 1.2f - Vec3{0, 0, 0.12f}, foot + side * 1.2f - Vec3{0, 0, 0.12f},
                       foot + side * 1.2f + Vec3{0, 0, 0.15f}, foot - side * 1.2f + Vec3{0, 0, 0.15f}};
  painter.Shade(low, {0.62f, 0.62f, 0.64f});
  const Vec3 body[4] = {foot - side, foot + side, foot + side * 0.6f + up, foot - side * 0.6f + up};
  painter.CastShadow(body);
}

}  // namespace frf::synth
