// SPDX-License-Identifier: Apache-2.0
// Sky, trees, bushes, hedges and far tree lines.
// Subtle: a crown is a few large leafy ellipses with smaller ones along its edge, drawn from the shaded side
// to the sunlit one, which gives it volume without any lighting per leaf.
#include "data/synth_parts.h"

namespace frf::synth {

void DrawSky(Painter& painter, Random random, float horizon, float cloudiness) {
  Canvas& canvas = painter.canvas;
  const Light& light = painter.light;
  static constexpr Rgb kZenith[] = {
      {0.30f, 0.52f, 0.84f}, {0.40f, 0.60f, 0.88f}, {0.24f, 0.44f, 0.74f}, {0.46f, 0.66f, 0.86f}};
  const Rgb grey = light.haze * Between(random, 0.78, 1.0);
  Rgb top = Mix(Vary(random, Pick(random, kZenith), 0.08f), grey, std::max(0.0f, cloudiness * 1.6f - 0.6f));
  top = Mix(top, {0.17f, 0.20f, 0.36f}, light.night * 0.8f);
  const Rgb low = light.haze;
  const Rgb cloud =
      Mix(Mix({0.98f, 0.98f, 0.98f}, light.haze, 0.35f), {0.42f, 0.36f, 0.44f}, light.night * 0.7f);
  const Rgb belly = cloud * 0.72f;
  const auto& tile = Noise().cloud;
  const float u0 = Between(random, 0, 256), v0 = Between(random, 0, 256);
  const float stretch = Between(random, 1.5, 4.0), size = Between(random, 24, 60);
  const int threshold = 225 - static_cast<int>(175 * cloudiness),
            softness = static_cast<int>(random.Between(14, 60));
  const int rows = std::clamp(static_cast<int>(horizon) + 8, 0, canvas.height());
  const float height = std::max(static_cast<float>(canvas.height()) * 0.5f, 1.0f);
  const std::uint32_t packed_cloud = Pack(cloud, kSky), packed_belly = Pack(belly, kSky);
  for (int y = 0; y < rows; ++y) {
    const float up = std::clamp((horizon - static_cast<float>(y)) / height, 0.0f, 1.0f);
    const std::uint32_t clear = Pack(Mix(low, top, std::sqrt(up)), kSky);
    std::uint32_t* p = canvas.row(y);
    // Clouds lie on a level ceiling: towards the horizon they crowd together.
    const float far = 1 / (up + 0.16f);
    const float v = v0 + far * size;
    const float scale = far * size * 2.2f / (stretch * static_cast<float>(canvas.width()));
    const int fade = static_cast<int>(256 * std::min(1.0f, up * 3.5f));
    if (cloudiness < 0.02f || fade < 8) {
      std::fill(p, p + canvas.width(), clear);
      continue;
    }
    for (int x = 0; x < canvas.width(); ++x) {
      const float u = u0 + (static_cast<float>(x) - static_cast<float>(canvas.width()) / 2) * scale;
      const int n = (NoiseAt(tile, u, v) * 3 + NoiseAt(tile, u * 3.1f, v * 3.1f)) >> 2;
      const int amount = std::clamp((n - threshold) * 256 / softness, 0, 256) * fade >> 8;
      const std::uint32_t body =
          BlendPacked(packed_cloud, packed_belly, std::clamp((n - threshold - softness) * 5, 0, 256));
      p[x] = amount == 0 ? clear : BlendPacked(clear, body, amount);
    }
  }
}

Rgb LeafColor(Random& random, bool autumn) {
  static constexpr Rgb kGreen[] = {{0.24f, 0.40f, 0.13f},
                                   {0.32f, 0.46f, 0.16f},
                                   {0.18f, 0.34f, 0.15f},
                                   {0.40f, 0.48f, 0.20f},
                                   {0.22f, 0.36f, 0.22f}};
  static constexpr Rgb kAutumn[] = {
      {0.72f, 0.46f, 0.12f}, {0.66f, 0.28f, 0.10f}, {0.74f, 0.60f, 0.18f}, {0.46f, 0.42f, 0.16f}};
  return Vary(random, autumn ? Pick(random, kAutumn) : Pick(random, kGreen), 0.14f);
}

namespace {

struct Crown {
  Point centre, radius;  // metres right of and above the foot
};

void DrawTrunk(Painter& painter, Random& random, Figure& figure, const TreePlan& plan, float top) {
  const Rgb bark = painter.LitSoft(Vary(random, {0.36f, 0.28f, 0.21f}, 0.2f));
  const float half = plan.height * Between(random, 0.018, 0.028), lean = Between(random, -0.25, 0.25);
  const Point trunk[4] = {
      {-half * 1.3f, 0}, {half * 1.3f, 0}, {half * 0.7f + lean, top}, {-half * 0.7f + lean, top}};
  figure.Polygon(trunk, bark, kVegetation);
  const float side = painter.light.to_sun.x > 0 ? -1.0f : 1.0f;  // the shaded side
  const Point dark[4] = {{0, 0}, {side * half * 1.3f, 0}, {side * half * 0.7f + lean, top}, {lean, top}};
  figure.Polygon(dark, bark * 0.72f, kVegetation);
  for (int i = 0; i < 3; ++i) {
    const float reach = plan.height * Between(random, 0.08, 0.2) * (i % 2 == 0 ? 1.0f : -1.0f);
    figure.Limb(lean * 0.8f, top * Between(random, 0.75, 0.95), lean + reach, top + plan.height * 0.14f,
                half * 0.6f, half * 0.3f, bark * 0.85f, kVegetation);
  }
}

void DrawLeaves(Painter& painter, Random& random, Figure& figure, const Crown& blob, Rgb leaf, float fray) {
  const Light& light = painter.light;
  const float sun_x = Dot(light.to_sun, painter.camera.right), sun_y = -light.to_sun.y;
  const float shade = light.shadows ? 1.0f : 0.55f;
  Canvas::Leaves leaves;
  leaves.centre = figure.At(blob.centre.x, blob.centre.y);
  leaves.radius = {blob.radius.x * figure.scale(), blob.radius.y * figure.scale()};
  if (leaves.radius.x < 0.6f || leaves.radius.y < 0.6f) return;
  leaves.sun = {sun_x * shade, sun_y * shade};
  leaves.color = painter.LitSoft(leaf);
  leaves.haze = light.haze;
  leaves.haze_amount = painter.HazeAt(figure.depth());
  leaves.fray = fray;
  leaves.contrast = 0.62f;
  leaves.scale = std::clamp(24 / figure.scale(), 0.12f, 1.2f);  // leaf clusters of a hand's breadth
  leaves.offset = Between(random, 0, 200);
  painter.canvas.FillLeaves(leaves);
}

void DrawConifer(Painter& painter, Random& random, Figure& figure, const TreePlan& plan) {
  const int tiers = 7;
  const float base = plan.height * 0.12f, width = plan.height * Between(random, 0.2, 0.27);
  for (int i = 0; i < tiers; ++i) {
    const float at = static_cast<float>(i) / tiers, next = static_cast<float>(i + 1) / tiers;
    const float v = base + (plan.height - base) * (at + next) / 2;
    const float r = width * (1 - at) * 0.95f;
    DrawLeaves(painter, random, figure, {{Between(random, -0.1, 0.1), v}, {r, plan.height * 0.11f}},
               plan.leaf * (0.8f + 0.3f * at), 0.5f);
  }
}

}  // namespace

void DrawTree(Painter& painter, Random random, const TreePlan& plan) {
  Figure figure(painter, plan.foot);
  if (!figure.visible()) return;
  const float h = plan.height;
  if (plan.kind == TreeKind::kConifer) {
    DrawTrunk(painter, random, figure, plan, h * 0.25f);
    DrawConifer(painter, random, figure, plan);
    return;
  }
  if (plan.kind == TreeKind::kBush) {
    for (int i = 0; i < 5; ++i) {
      const float u = Between(random, -0.45, 0.45) * h, r = h * Between(random, 0.35, 0.5);
      DrawLeaves(painter, random, figure, {{u, r * 0.85f}, {r, r * 0.9f}},
                 plan.leaf * Between(random, 0.8, 1.15), 0.3f);
    }
    return;
  }
  const bool tall = plan.kind == TreeKind::kTall;
  const float bottom = h * (tall ? 0.16f : Between(random, 0.3, 0.4));
  const float ry = (h - bottom) / 2,
              rx = tall ? h * Between(random, 0.11, 0.16) : ry * Between(random, 0.85, 1.2);
  DrawTrunk(painter, random, figure, plan, bottom + ry * 0.6f);
  const float cy = bottom + ry;
  const int big = tall ? 4 : 4, small = figure.scale() > 14 ? 11 : 5;
  for (int i = 0; i < big; ++i) {
    const float u = Between(random, -0.32, 0.32) * rx,
                v = cy + (tall ? static_cast<float>(i) / 3 - 0.5f : Between(random, -0.3, 0.3)) * ry * 1.1f;
    DrawLeaves(painter, random, figure, {{u, v}, {rx * 0.72f, ry * (tall ? 0.5f : 0.68f)}},
               plan.leaf * (0.72f + 0.08f * static_cast<float>(i)), 0.34f);
  }
  for (int i = 0; i < small; ++i) {  // from below to the top, where the light is
    const float around = static_cast<float>(i) / static_cast<float>(small);
    const float angle = -1.2f + 2.7f * around, side = i % 2 == 0 ? 1.0f : -1.0f;
    const float u = side * std::cos(angle) * rx * Between(random, 0.5, 0.8),
                v = cy + std::sin(angle) * ry * Between(random, 0.55, 0.78);
    const float r = Between(random, 0.24, 0.38);
    DrawLeaves(painter, random, figure, {{u, v}, {rx * r, ry * r}}, plan.leaf * (0.82f + 0.38f * around),
               0.4f);
  }
}

void CastTreeShadow(Painter& painter, const TreePlan& plan) {
  if (!painter.light.shadows) return;
  std::vector<Vec3> crown;
  const float middle = plan.height * (plan.kind == TreeKind::kBush ? 0.4f : 0.65f),
              r = plan.height * (plan.kind == TreeKind::kTall ? 0.16f : 0.3f);
  for (int i = 0; i < 12; ++i) {
    const float angle = 6.2831853f * static_cast<float>(i) / 12;
    crown.push_back(plan.foot + Vec3{r * std::cos(angle), middle, r * std::sin(angle)});
    crown.push_back(plan.foot +
                    Vec3{r * 0.7f * std::cos(angle), middle + r * 0.8f, r * 0.7f * std::sin(angle)});
  }
  painter.CastShadow(crown);
  const Vec3 side{plan.height * 0.022f, 0, 0};
  const Vec3 up{0, middle, 0};
  const Vec3 trunk[4] = {plan.foot - side, plan.foot + side, plan.foot + side + up, plan.foot - side + up};
  painter.CastShadow(trunk);
}

void DrawHedge(Painter& painter, Random random, Vec3 from, Vec3 to, Vec3 inward, float height,
               float thickness) {
  const Rgb leaf = Vary(random, {0.22f, 0.36f, 0.15f}, 0.16f);
  const Vec3 up{0, height, 0}, back = inward * thickness, along = Unit(to - from);
  const Quad top{{from + up, to + up, to + back + up, from + back + up}};
  painter.FillTexture(top.p, from + up, along, inward, painter.Lit(leaf * 1.1f, {0, 1, 0}), kVegetation,
                      Texture::kGrass, 1.1f);
  const Quad end{{from, from + back, from + back + up, from + up}};
  painter.FillTexture(end.p, from, inward, {0, 1, 0}, painter.Lit(leaf * 0.9f, along * -1), kVegetation,
                      Texture::kGrass, 1.2f);
  const Quad front{{from, to, to + up, from + up}};
  painter.FillTexture(front.p, from, along, {0, 1, 0}, painter.Lit(leaf, inward * -1), kVegetation,
                      Texture::kGrass, 1.2f);
  painter.Fill(front.Part(0, 0, 1, 0.14f), painter.Lit(leaf * 0.6f, inward * -1), kVegetation);
}

void DrawTreeLine(Painter& painter, Random random, Vec3 left, Vec3 right, float height) {
  const Vec3 way = right - left;
  const float length = Length(way);
  const bool autumn = random.Chance(0.15);
  for (float at = 0; at < length; at += Between(random, 2.5, 6)) {
    const Vec3 foot = left + way * (at / length);
    Figure figure(painter, foot);
    if (!figure.visible()) continue;
    const float h = height * Between(random, 0.6, 1.2);
    const Rgb leaf = LeafColor(random, autumn && random.Chance(0.5)) * 0.85f;
    DrawLeaves(painter, random, figure, {{0, h * 0.28f}, {h * 0.55f, h * 0.42f}}, leaf * 0.85f, 0.35f);
    DrawLeaves(painter, random, figure, {{Between(random, -1, 1), h * 0.62f}, {h * 0.42f, h * 0.38f}}, leaf,
               0.35f);
  }
}

}  // namespace frf::synth
