// SPDX-License-Identifier: Apache-2.0
// Houses and town blocks: textured walls, windows, doors, shop fronts, roofs, chimneys; and far skylines.
// Subtle: parts smaller than about a pixel are left out or merged, so that far fronts cost little and do not
// flicker.
#include <numbers>

#include "data/synth_parts.h"

namespace frf::synth {
namespace {

struct Look {
  Rgb wall, trim, glass, door, roof;
  Texture texture = Texture::kPlaster;
  float floor = 3, bay = 2.6f;  // storey height, distance of windows
  float window_w = 1.2f, window_h = 1.5f;
  int style = 0;  // 0 sash with cross bar, 1 plain, 2 shutters, 3 glass band
  float strength = 1;
  Rgb shutter;
};

Look ChooseLook(Random& random, const BuildingPlan& plan) {
  static constexpr Rgb kPlaster[] = {{0.90f, 0.86f, 0.74f}, {0.88f, 0.76f, 0.58f}, {0.84f, 0.66f, 0.56f},
                                     {0.92f, 0.91f, 0.88f}, {0.72f, 0.78f, 0.82f}, {0.86f, 0.83f, 0.62f},
                                     {0.76f, 0.70f, 0.64f}, {0.70f, 0.76f, 0.66f}, {0.80f, 0.58f, 0.48f},
                                     {0.66f, 0.64f, 0.62f}};
  static constexpr Rgb kBrick[] = {{0.62f, 0.34f, 0.26f},
                                   {0.70f, 0.46f, 0.34f},
                                   {0.54f, 0.30f, 0.26f},
                                   {0.74f, 0.60f, 0.44f},
                                   {0.60f, 0.50f, 0.42f}};
  static constexpr Rgb kRoof[] = {{0.56f, 0.28f, 0.20f},
                                  {0.36f, 0.34f, 0.36f},
                                  {0.46f, 0.26f, 0.22f},
                                  {0.42f, 0.36f, 0.32f},
                                  {0.64f, 0.38f, 0.26f}};
  static constexpr Rgb kDoor[] = {{0.50f, 0.12f, 0.12f}, {0.12f, 0.26f, 0.20f}, {0.14f, 0.18f, 0.34f},
                                  {0.36f, 0.24f, 0.14f}, {0.10f, 0.10f, 0.11f}, {0.75f, 0.72f, 0.66f}};
  Look look;
  if (random.Chance(0.42)) {
    look.wall = Pick(random, kBrick);
    look.texture = Texture::kBrick;
  } else {
    look.wall = Pick(random, kPlaster);
  }
  look.wall = Vary(random, look.wall, 0.1f);
  look.roof = Vary(random, Pick(random, kRoof), 0.1f);
  look.door = Vary(random, Pick(random, kDoor), 0.15f);
  look.shutter = random.Chance(0.5) ? look.door : Vary(random, {0.30f, 0.42f, 0.34f}, 0.3f);
  look.trim = random.Chance(0.7) ? Rgb{0.9f, 0.89f, 0.86f} : look.wall * 0.7f;
  look.glass = Vary(random, {0.20f, 0.26f, 0.33f}, 0.3f);
  look.floor = plan.house ? Between(random, 2.6, 2.9) : Between(random, 2.9, 3.7);
  look.bay = Between(random, 2.1, 3.2);
  look.window_w = look.bay * Between(random, 0.36, 0.56);
  look.window_h = look.floor * Between(random, 0.44, 0.58);
  look.style = static_cast<int>(random.Below(plan.house ? 3 : 4));
  look.strength = Between(random, 0.6, 1.2);
  if (look.style == 3) {
    look.window_w = look.bay * 0.88f;
    look.wall = Mix(look.wall, {0.62f, 0.64f, 0.66f}, 0.6f);
    look.texture = Texture::kPlaster;
  }
  return look;
}

// One window in `hole`, lit from inside at dusk by chance.
void DrawWindow(Painter& painter, Random& random, const Look& look, const Quad& hole, Vec3 normal,
                float pixels) {
  const float w = Length(hole.p[1] - hole.p[0]), h = Length(hole.p[3] - hole.p[0]);
  const bool lit = random.Chance(0.06 + 0.4 * painter.light.night);
  const float sky = Between(random, 0.0, 0.5);
  const Rgb reflected = Mix(look.glass, painter.light.haze, sky * 0.5f) * (1 - 0.3f * painter.light.night);
  const Rgb pane =
      lit && painter.light.night > 0.2f ? Rgb{0.98f, 0.82f, 0.46f} * Between(random, 0.7, 1.0) : reflected;
  if (pixels < 6) {
    if (pixels > 1.2f) painter.Fill(hole, Mix(pane, painter.Lit(look.trim, normal), 0.15f), kBuilding);
    return;
  }
  const float edge = std::min(0.09f / w, 0.16f), sill = std::min(0.09f / h, 0.12f);
  painter.Fill(hole.Part(-edge * 0.6f, -sill, 1 + edge * 0.6f, 1 + sill * 0.4f),
               painter.Lit(look.trim, normal), kBuilding);
  painter.Fill(hole.Part(edge * 0.5f, sill * 0.4f, 1 - edge * 0.5f, 1 - sill * 0.4f), pane, kBuilding);
  if (pixels < 11) return;
  // The lower half mirrors what stands opposite: darker. A bright diagonal is sky.
  painter.Fill(hole.Part(edge * 0.5f, sill * 0.4f, 1 - edge * 0.5f, 0.45f), pane * 0.8f, kBuilding);
  if (look.style != 1) {
    painter.Fill(hole.Part(0.5f - edge * 0.4f, 0, 0.5f + edge * 0.4f, 1), painter.Lit(look.trim, normal),
                 kBuilding);
    painter.Fill(hole.Part(0, 0.58f, 1, 0.58f + sill * 0.8f), painter.Lit(look.trim, normal), kBuilding);
  }
  painter.Fill(hole.Part(-edge, -2.0f * sill, 1 + edge, -sill), painter.Lit(look.trim * 0.85f, normal),
               kBuilding);
  if (look.style == 2) {
    const Rgb leaf = painter.Lit(look.shutter, normal);
    painter.Fill(hole.Part(-0.36f, 0, -edge, 1), leaf, kBuilding);
    painter.Fill(hole.Part(1 + edge, 0, 1.36f, 1), leaf, kBuilding);
  }
}

void DrawDoor(Painter& painter, const Look& look, const Quad& hole, Vec3 normal) {
  painter.Fill(hole.Part(-0.12f, 0, 1.12f, 1.06f), painter.Lit(look.trim, normal), kBuilding);
  painter.Fill(hole, painter.Lit(look.door, normal), kBuilding);
  painter.Fill(hole.Part(0.2f, 0.62f, 0.8f, 0.9f), look.glass, kBuilding);
  painter.Fill(hole.Part(0.78f, 0.42f, 0.9f, 0.47f), {0.8f, 0.75f, 0.5f}, kBuilding);
}

// Ground floor of a shop: glass, stall riser, sign band and an awning that may stick out.
void DrawShop(Painter& painter, Random& random, const Quad& band, Vec3 normal, float width) {
  static constexpr Rgb kSign[] = {{0.62f, 0.12f, 0.14f}, {0.10f, 0.30f, 0.24f}, {0.14f, 0.20f, 0.42f},
                                  {0.90f, 0.74f, 0.26f}, {0.20f, 0.20f, 0.22f}, {0.85f, 0.84f, 0.80f},
                                  {0.80f, 0.42f, 0.16f}, {0.36f, 0.20f, 0.38f}};
  const Rgb sign = Vary(random, Pick(random, kSign), 0.15f);
  const Rgb frame = painter.Lit(random.Chance(0.5) ? sign * 0.8f : Rgb{0.2f, 0.2f, 0.22f}, normal);
  painter.Fill(band, frame, kBuilding);
  const int panes = std::max(2, static_cast<int>(width / 2.2f));
  const int door = static_cast<int>(random.Below(panes));
  const Rgb inside = Mix({0.30f, 0.32f, 0.34f}, {0.98f, 0.86f, 0.6f}, 0.2f + 0.5f * painter.light.night);
  for (int i = 0; i < panes; ++i) {
    const float step = 1.0f / static_cast<float>(panes), u0 = step * static_cast<float>(i);
    const float low = i == door ? 0.02f : 0.16f;
    const Quad pane = band.Part(u0 + step * 0.06f, low, u0 + step * 0.94f, 0.74f);
    painter.Fill(pane, inside * Between(random, 0.55, 1.0), kBuilding);
    for (int item = 0; item < 3; ++item) {  // goods in the window
      const float x = Between(random, 0.05, 0.75), h = Between(random, 0.15, 0.5);
      painter.Fill(
          pane.Part(x, 0, x + 0.18f, h),
          Vary(random, {Between(random, 0.2, 0.8), Between(random, 0.2, 0.7), Between(random, 0.2, 0.7)},
               0.2f) *
              0.7f,
          kBuilding);
    }
    painter.Fill(pane.Part(0.5f, 0.5f, 0.95f, 0.98f), inside * 1.15f, kBuilding);
  }
  painter.Fill(band.Part(0, 0.77f, 1, 0.99f), painter.Lit(sign, normal), kBuilding);
  const Rgb letters = sign.r + sign.g + sign.b > 1.7f ? Rgb{0.15f, 0.15f, 0.2f} : Rgb{0.95f, 0.93f, 0.86f};
  const int count = static_cast<int>(random.Between(4, 9));
  const float left = Between(random, 0.1, 0.4), step = 0.45f / static_cast<float>(count);
  for (int i = 0; i < count; ++i) {  // words, as blocks
    const float u = left + step * static_cast<float>(i);
    painter.Fill(
        band.Part(u, 0.83f, u + step * Between(random, 0.5, 0.8), 0.83f + Between(random, 0.06, 0.1)),
        painter.Lit(letters, normal), kBuilding);
  }
  if (random.Chance(0.4)) {
    const Vec3 out = normal * 1.2f;
    const Rgb cloth = random.Chance(0.5) ? sign : Rgb{0.8f, 0.3f, 0.25f};
    const int stripes = panes * 3;
    for (int i = 0; i < stripes; ++i) {
      const float u0 = static_cast<float>(i) / static_cast<float>(stripes),
                  u1 = static_cast<float>(i + 1) / static_cast<float>(stripes);
      const Vec3 low0 = band.At(u0, 0.68f) + out, low1 = band.At(u1, 0.68f) + out;
      const Rgb color =
          painter.Lit(i % 2 == 0 ? cloth : Rgb{0.92f, 0.9f, 0.86f}, Unit(normal + Vec3{0, 1, 0}));
      painter.Fill(Quad{{low0, low1, band.At(u1, 0.8f), band.At(u0, 0.8f)}}, color, kBuilding);
      const Vec3 drop{0, -0.18f, 0};
      painter.Fill(Quad{{low0 + drop, low1 + drop, low1, low0}}, color * 0.85f, kBuilding);
    }
  }
}

struct Face {
  Vec3 origin, along, normal;
  float width;
  bool front;
};

void DrawFace(Painter& painter, Random& random, const BuildingPlan& plan, const Look& look,
              const Face& face) {
  const Vec3 up{0, 1, 0};
  const Quad wall{{face.origin, face.origin + face.along * face.width,
                   face.origin + face.along * face.width + up * plan.height, face.origin + up * plan.height}};
  painter.FillTexture(wall.p, face.origin, face.along, up, painter.Lit(look.wall, face.normal), kBuilding,
                      look.texture, look.strength);
  const float pixels = painter.PixelsPerMetre(wall.Centre());
  const float height = plan.height;
  const int floors = std::max(1, static_cast<int>((height - 0.2f) / look.floor));
  if (pixels <= 0) return;
  painter.Fill(wall.Part(0, 0, 1, 0.5f / height), painter.Lit(look.wall * 0.72f, face.normal),
               kBuilding);  // plinth
  const bool shop = plan.shop && face.front;
  if (shop)
    DrawShop(painter, random, wall.Part(0.01f, 0, 0.99f, std::min(look.floor + 0.4f, height) / height),
             face.normal, face.width);
  if (!plan.house) {  // a cornice below the roof, and one above the ground floor
    painter.Fill(wall.Part(0, 1 - 0.45f / height, 1, 1), painter.Lit(look.trim * 0.92f, face.normal),
                 kBuilding);
    painter.Fill(wall.Part(0, 1 - 0.6f / height, 1, 1 - 0.45f / height),
                 painter.Lit(look.wall * 0.6f, face.normal), kBuilding);
  }
  int bays = std::max(1, static_cast<int>(face.width / look.bay));
  if (!face.front) bays = std::max(1, bays / 2);
  const float step = face.width / static_cast<float>(bays);
  const int door_bay = static_cast<int>(random.Below(bays));
  for (int floor = shop ? 1 : 0; floor < floors; ++floor) {
    const float bottom =
        look.floor * static_cast<float>(floor) + (look.floor - look.window_h) * 0.55f + (shop ? 0.4f : 0);
    if (bottom + look.window_h > height - 0.25f) break;
    for (int bay = 0; bay < bays; ++bay) {
      const float middle = step * (static_cast<float>(bay) + 0.5f);
      if (floor == 0 && face.front && bay == door_bay) {
        const float u0 = (middle - 0.55f) / face.width, u1 = (middle + 0.55f) / face.width;
        if (pixels > 2) DrawDoor(painter, look, wall.Part(u0, 0, u1, 2.15f / height), face.normal);
        continue;
      }
      if (!face.front && random.Chance(0.3)) continue;
      const float half = look.window_w / 2;
      const Quad hole = wall.Part((middle - half) / face.width, bottom / height, (middle + half) / face.width,
                                  (bottom + look.window_h) / height);
      DrawWindow(painter, random, look, hole, face.normal,
                 painter.PixelsPerMetre(hole.Centre()) * look.window_w);
    }
  }
}

// Roof with its ridge along the front; gables left and right.
void DrawPitchedRoof(Painter& painter, Random& random, const BuildingPlan& plan, const Look& look) {
  const Vec3 up{0, 1, 0};
  const float rise = plan.depth * Between(random, 0.26, 0.42), eaves = 0.4f;
  const Vec3 a = plan.corner + up * plan.height, b = a + plan.along * plan.width;
  const Vec3 ridge_a = a + plan.inward * (plan.depth / 2) + up * rise,
             ridge_b = b + plan.inward * (plan.depth / 2) + up * rise;
  const Vec3 back_a = a + plan.inward * plan.depth, back_b = b + plan.inward * plan.depth;
  for (int side = 0; side < 2; ++side) {  // gable walls
    const Vec3 normal = side == 0 ? plan.along * -1 : plan.along;
    const Vec3 triangle[3] = {side == 0 ? a : b, side == 0 ? back_a : back_b, side == 0 ? ridge_a : ridge_b};
    if (painter.Faces(triangle[0], normal)) {
      painter.FillTexture(triangle, triangle[0], plan.inward, up, painter.Lit(look.wall, normal), kBuilding,
                          look.texture, look.strength);
    }
  }
  const Vec3 over = plan.along * eaves;
  for (int side = 1; side >= 0; --side) {
    const Vec3 low_a = side == 0 ? a : back_a, low_b = side == 0 ? b : back_b;
    const Vec3 out =
        (side == 0 ? plan.inward * -1 : plan.inward) * eaves - up * (eaves * rise / (plan.depth / 2));
    const Quad slope{{low_a + out - over, low_b + out + over, ridge_b + over, ridge_a - over}};
    const Vec3 normal = Unit((side == 0 ? plan.inward * -1 : plan.inward) * rise + up * (plan.depth / 2));
    if (!painter.Faces(slope.p[0], normal)) continue;
    painter.FillTexture(slope.p, slope.p[0], plan.along, Unit(slope.p[3] - slope.p[0]),
                        painter.Lit(look.roof, normal), kBuilding, Texture::kTiles);
    painter.Fill(slope.Part(0, -0.03f, 1, 0.02f), painter.Lit(look.trim * 0.85f, normal),
                 kBuilding);  // gutter
  }
  if (random.Chance(0.7)) {  // chimney
    const float at = Between(random, 0.1, 0.9);
    const Vec3 foot = Lerp(ridge_a, ridge_b, at) - up * 0.6f;
    const Vec3 half_u = plan.along * 0.4f, half_v = plan.inward * 0.3f, top = up * 1.7f;
    const Rgb brick{0.55f, 0.33f, 0.27f};
    const Vec3 c[4] = {foot - half_u - half_v, foot + half_u - half_v, foot + half_u + half_v,
                       foot - half_u + half_v};
    const Vec3 normals[4] = {plan.inward * -1, plan.along, plan.inward, plan.along * -1};
    for (int i = 0; i < 4; ++i) {
      if (!painter.Faces(c[i], normals[i])) continue;
      painter.Fill(Quad{{c[i], c[(i + 1) % 4], c[(i + 1) % 4] + top, c[i] + top}},
                   painter.Lit(brick, normals[i]), kBuilding);
    }
  }
}

}  // namespace

void DrawBuilding(Painter& painter, Random random, const BuildingPlan& plan) {
  const Look look = ChooseLook(random, plan);
  const Vec3 right = plan.corner + plan.along * plan.width, back = plan.inward * plan.depth;
  const Face faces[4] = {{right + back, plan.along * -1, plan.inward, plan.width, false},
                         {plan.corner + back, plan.inward * -1, plan.along * -1, plan.depth, false},
                         {right, plan.inward, plan.along, plan.depth, false},
                         {plan.corner, plan.along, plan.inward * -1, plan.width, true}};
  for (int i = 0; i < 4; ++i) {
    const Face& face = faces[i];
    if (!painter.Faces(face.origin, face.normal)) continue;
    if (i == 1 && plan.party > 0) {  // a bare wall above the neighbour's roof
      if (plan.party >= plan.height) continue;
      const Vec3 low = face.origin + Vec3{0, plan.party - 0.5f, 0}, up{0, plan.height - plan.party + 0.5f, 0};
      const Vec3 end = low + face.along * face.width;
      const Vec3 wall[4] = {low, end, end + up, low + up};
      painter.FillTexture(wall, face.origin, face.along, {0, 1, 0},
                          painter.Lit(look.wall * 0.94f, face.normal), kBuilding, look.texture,
                          look.strength);
      continue;
    }
    DrawFace(painter, random, plan, look, face);
  }
  if (plan.house) DrawPitchedRoof(painter, random, plan, look);
}

void CastBuildingShadow(Painter& painter, const BuildingPlan& plan) {
  const Vec3 right = plan.corner + plan.along * plan.width, back = plan.inward * plan.depth;
  const Vec3 up{0, plan.height * (plan.house ? 1.15f : 1.0f), 0};
  const Vec3 points[8] = {plan.corner,      right,      right + back,      plan.corner + back,
                          plan.corner + up, right + up, right + back + up, plan.corner + back + up};
  painter.CastShadow(points);
}

void DrawSkyline(Painter& painter, Random random, Vec3 left, Vec3 right, float height) {
  const Vec3 way = right - left;
  const float length = Length(way);
  for (float at = 0; at < length;) {
    const float width = Between(random, 5, 14), tall = height * Between(random, 0.6, 1.3);
    const Vec3 a = left + way * (at / length), b = left + way * (std::min(at + width, length) / length),
               up{0, tall, 0};
    const Rgb wall = painter.LitSoft(Vary(random, {0.70f, 0.64f, 0.58f}, 0.2f));
    const Quad block{{a, b, b + up, a + up}};
    painter.Fill(block, wall, kBuilding);
    if (random.Chance(0.5)) {
      const Vec3 ridge = (a + b) * 0.5f + Vec3{0, tall + 3, 0};
      const Vec3 gable[3] = {a + up, b + up, ridge};
      painter.Fill(gable, painter.LitSoft(Vary(random, {0.46f, 0.32f, 0.28f}, 0.2f)), kBuilding);
    }
    for (float v = 0.15f; v < 0.9f; v += 3.2f / tall) {
      for (float u = 0.15f; u < 0.8f; u += 2.8f / width) {
        painter.Fill(block.Part(u, v, u + 1.2f / width, v + 1.5f / tall), wall * 0.62f, kBuilding);
      }
    }
    at += width;
  }
}

}  // namespace frf::synth
