// SPDX-License-Identifier: Apache-2.0
// Fences, walls, lamp posts, bollards, traffic signs and lights.
// Subtle: what shows through a railing is labelled fence, as Cityscapes and CamVid annotators do; where its
// bars would be thinner than a sample it is drawn as a veil, so that it never turns into labels without
// anything to see.
#include "data/synth_parts.h"

namespace frf::synth {
namespace {

Rgb Metal(Random& random) {
  static constexpr Rgb kMetal[] = {{0.42f, 0.44f, 0.45f},
                                   {0.20f, 0.22f, 0.22f},
                                   {0.16f, 0.26f, 0.20f},
                                   {0.56f, 0.57f, 0.57f},
                                   {0.30f, 0.31f, 0.34f}};
  return Vary(random, Pick(random, kMetal), 0.12f);
}

// An upright round post: three strips, so that it looks round; drawn towards the camera.
void DrawColumn(Painter& painter, Vec3 foot, float height, float bottom, float top, Rgb color, Thing thing) {
  Figure figure(painter, foot);
  if (!figure.visible()) return;
  const float edges[4] = {-1, -0.3f, 0.35f, 1};
  const bool sun_right = Dot(painter.light.to_sun, painter.camera.right) > 0;
  const float tones[3] = {sun_right ? 0.72f : 1.18f, 1, sun_right ? 1.18f : 0.72f};
  const Rgb lit = painter.LitSoft(color);
  for (int i = 0; i < 3; ++i) {
    const Point strip[4] = {{edges[i] * bottom / 2, 0},
                            {edges[i + 1] * bottom / 2, 0},
                            {edges[i + 1] * top / 2, height},
                            {edges[i] * top / 2, height}};
    figure.Polygon(strip, lit * tones[i], thing);
  }
}

}  // namespace

void DrawFence(Painter& painter, Random random, Vec3 from, Vec3 to, FenceKind kind, float height, Rgb color) {
  const Vec3 along = Unit(to - from), up{0, 1, 0};
  const float length = Length(to - from);
  Vec3 normal{along.z, 0, -along.x};
  if (!painter.Faces(from, normal)) normal = normal * -1;
  const Rgb lit = painter.Lit(color, normal);
  const Quad whole{{from, to, to + up * height, from + up * height}};
  const float pixels = painter.PixelsPerMetre(whole.Centre());
  if (kind == FenceKind::kPlanks) {
    painter.FillTexture(whole.p, from, along, up, lit, kFence, Texture::kPlanks);
    painter.Fill(whole.Part(0, 0.93f, 1, 1), lit * 0.8f, kFence);
    for (float at = 0; at <= length; at += 2.2f) {
      const float u0 = at / length, u1 = std::min((at + 0.12f) / length, 1.0f);
      painter.Fill(whole.Part(u0, 0, u1, 1.06f), lit * 0.7f, kFence);
    }
    return;
  }
  const bool mesh = kind == FenceKind::kMesh;
  painter.Blend(whole.p, lit, kFence, mesh ? 0.42f : 0.22f, true);
  const float spacing = kind == FenceKind::kPickets ? 0.17f : mesh ? 0.3f : 0.15f;
  const float bar = kind == FenceKind::kPickets ? 0.1f : mesh ? 0.02f : 0.05f;
  if (pixels * bar < 0.45f) {
    painter.Blend(whole.p, lit, kFence, std::min(0.8f, bar / spacing * 1.6f), true);
  } else {
    for (float at = 0; at + bar <= length; at += spacing) {
      painter.Fill(
          whole.Part(at / length, 0.02f, (at + bar) / length, kind == FenceKind::kPickets ? 1.0f : 0.96f),
          lit, kFence);
    }
    if (mesh) {
      for (float v = 0.1f; v < 0.95f; v += 0.16f) painter.Fill(whole.Part(0, v, 1, v + 0.015f), lit, kFence);
    }
  }
  const float rail = (kind == FenceKind::kPickets ? 0.08f : 0.07f) / height;
  painter.Fill(whole.Part(0, 1 - rail * (kind == FenceKind::kPickets ? 3.2f : 1.0f), 1,
                          1 - rail * (kind == FenceKind::kPickets ? 2.2f : 0.0f)),
               lit * 1.08f, kFence);
  painter.Fill(whole.Part(0, 0.12f, 1, 0.12f + rail), lit * 0.9f, kFence);
  for (float at = 0; at <= length; at += 2.0f) {
    const float u0 = at / length, u1 = std::min((at + 0.1f) / length, 1.0f);
    painter.Fill(whole.Part(u0, 0, u1, 1.08f), lit * 0.85f, kFence);
  }
  (void)random;
}

void DrawWall(Painter& painter, Random random, Vec3 from, Vec3 to, float height, bool brick, Rgb color) {
  const Vec3 along = Unit(to - from), up{0, 1, 0};
  Vec3 normal{along.z, 0, -along.x};
  if (!painter.Faces(from, normal)) normal = normal * -1;
  const Rgb lit = painter.Lit(Vary(random, color, 0.05f), normal);
  const Quad whole{{from, to, to + up * height, from + up * height}};
  const Vec3 back = normal * -0.3f;
  const Quad top{{whole.p[3], whole.p[2], whole.p[2] + back, whole.p[3] + back}};
  painter.Fill(top, painter.Lit(Mix(color, {0.7f, 0.7f, 0.68f}, 0.5f), up), kWall);
  const Quad end{{from, from + back, from + back + up * height, from + up * height}};
  painter.Fill(end, painter.Lit(color, along * -1), kWall);
  painter.FillTexture(whole.p, from, along, up, lit, kWall, brick ? Texture::kBrick : Texture::kCobble);
  painter.Fill(whole.Part(0, 1 - 0.09f / height, 1, 1),
               painter.Lit(Mix(color, {0.72f, 0.71f, 0.68f}, 0.6f), normal), kWall);
}

void DrawLampPost(Painter& painter, Random random, Vec3 foot, Vec3 toward, float height) {
  const Rgb metal = Metal(random);
  const bool lantern = random.Chance(0.35);
  const float thick = Between(random, 0.19, 0.27);
  if (lantern) height *= 0.62f;
  DrawColumn(painter, foot, height, thick, thick * 0.72f, metal, kPole);
  DrawColumn(painter, foot, 1.0f, thick * 1.45f, thick * 1.35f, metal * 0.9f, kPole);
  const Vec3 top = foot + Vec3{0, height, 0};
  const Rgb glow = Mix({0.85f, 0.85f, 0.80f}, {1.0f, 0.92f, 0.66f}, painter.light.night);
  const Vec3 side = Unit(Vec3{toward.z, 0, -toward.x});
  if (lantern) {
    Figure figure(painter, foot);
    const float r = 0.26f;
    const Point glass[4] = {
        {-r * 0.6f, height}, {r * 0.6f, height}, {r, height + 0.55f}, {-r, height + 0.55f}};
    figure.Polygon(glass, glow, kPole);
    const Point cap[3] = {{-r * 1.2f, height + 0.55f}, {r * 1.2f, height + 0.55f}, {0, height + 0.85f}};
    figure.Polygon(cap, painter.LitSoft(metal), kPole);
    return;
  }
  const float reach = Between(random, 1.0, 2.0), half = thick * 0.42f;
  const Vec3 tip = top + toward * reach + Vec3{0, 0.45f, 0};
  const Vec3 rise{0, half, 0};
  const Vec3 arm[4] = {top - rise, top + rise, tip + rise, tip - rise};  // seen from along the street
  painter.Fill(arm, painter.LitSoft(metal), kPole);
  const Vec3 across = side * half;
  const Vec3 flat[4] = {top - across, top + across, tip + across, tip - across};
  painter.Fill(flat, painter.LitSoft(metal * 0.85f), kPole);
  const Vec3 head = toward * 0.8f, deep = side * 0.17f, drop{0, -0.17f, 0};
  const Vec3 lamp[4] = {tip - deep, tip + deep, tip + head + deep, tip + head - deep};
  painter.Fill(lamp, Mix(painter.LitSoft(metal), glow, 0.3f + 0.6f * painter.light.night), kPole);
  const Vec3 edge[4] = {tip, tip + head, tip + head + drop * 0.6f, tip + drop};
  painter.Fill(edge, painter.LitSoft(metal * 0.9f), kPole);
}

void DrawPost(Painter& painter, Random random, Vec3 foot, float height, float diameter) {
  const Rgb metal = random.Chance(0.25) ? Rgb{0.40f, 0.31f, 0.23f} : Metal(random);
  DrawColumn(painter, foot, height, diameter, diameter * 0.9f, metal, kPole);
  if (height < 1.4f) {  // a bollard: a bright band and a cap
    Figure figure(painter, foot);
    if (!figure.visible()) return;
    const float r = diameter / 2;
    const Point band[4] = {
        {-r, height * 0.72f}, {r, height * 0.72f}, {r, height * 0.84f}, {-r, height * 0.84f}};
    figure.Polygon(band, painter.LitSoft({0.9f, 0.88f, 0.82f}), kPole);
    figure.Ellipse(0, height, r * 1.1f, r * 0.6f, painter.LitSoft(metal * 1.1f), kPole, 10);
  }
}

void DrawSign(Painter& painter, Random random, Vec3 foot, Vec3 toward) {
  const int kind = static_cast<int>(random.Below(8));
  const float size = Between(random, 0.36, 0.48), post = Between(random, 2.0, 2.5);
  const float middle = post + size;
  DrawColumn(painter, foot, middle + size * 0.6f, 0.12f, 0.12f, {0.55f, 0.56f, 0.57f}, kPole);
  Figure f(painter, foot);
  if (!f.visible()) return;
  const auto paint = [&](Rgb c) { return painter.LitSoft(c) * (1 + 0.25f * painter.light.night); };
  const Rgb white = paint({0.95f, 0.95f, 0.95f}), red = paint({0.80f, 0.08f, 0.10f}),
            blue = paint({0.08f, 0.28f, 0.66f}), black = paint({0.1f, 0.1f, 0.1f}),
            yellow = paint({0.96f, 0.78f, 0.12f});
  const auto block = [&](float u0, float v0, float u1, float v1, Rgb c) {
    const Point p[4] = {{u0, v0}, {u1, v0}, {u1, v1}, {u0, v1}};
    f.Polygon(p, c, kSign);
  };
  const auto polygon = [&](int corners, float r, float turn, Rgb c) {
    Point p[16];
    for (int i = 0; i < corners; ++i) {
      const float a = turn + 6.2831853f * static_cast<float>(i) / static_cast<float>(corners);
      p[i] = {r * std::cos(a), middle + r * std::sin(a)};
    }
    f.Polygon({p, static_cast<std::size_t>(corners)}, c, kSign);
  };
  const float s = size;
  switch (kind) {
    case 0:
    case 1:  // speed limit, no entry
      f.Ellipse(0, middle, s, s, red, kSign);
      if (kind == 0) {
        f.Ellipse(0, middle, s * 0.76f, s * 0.76f, white, kSign);
        block(-s * 0.45f, middle - s * 0.36f, -s * 0.08f, middle + s * 0.36f, black);
        block(s * 0.08f, middle - s * 0.36f, s * 0.45f, middle + s * 0.36f, black);
        block(s * 0.2f, middle - s * 0.18f, s * 0.32f, middle + s * 0.18f, white);
      } else {
        block(-s * 0.7f, middle - s * 0.16f, s * 0.7f, middle + s * 0.16f, white);
      }
      break;
    case 2:  // warning
    case 3:  // give way
      polygon(3, s * 1.25f, kind == 2 ? 1.5708f : -1.5708f, red);
      polygon(3, s * 0.82f, kind == 2 ? 1.5708f : -1.5708f, kind == 2 && random.Chance(0.3) ? yellow : white);
      if (kind == 2) block(-s * 0.09f, middle - s * 0.3f, s * 0.09f, middle + s * 0.35f, black);
      break;
    case 4:  // mandatory direction
      f.Ellipse(0, middle, s, s, white, kSign);
      f.Ellipse(0, middle, s * 0.92f, s * 0.92f, blue, kSign);
      block(-s * 0.1f, middle - s * 0.55f, s * 0.1f, middle + s * 0.2f, white);
      {
        const Point head[3] = {
            {-s * 0.36f, middle + s * 0.1f}, {s * 0.36f, middle + s * 0.1f}, {0, middle + s * 0.62f}};
        f.Polygon(head, white, kSign);
      }
      break;
    case 5:  // stop
      polygon(8, s * 1.06f, 0.3927f, white);
      polygon(8, s * 0.98f, 0.3927f, red);
      block(-s * 0.6f, middle - s * 0.16f, s * 0.6f, middle + s * 0.16f, white);
      break;
    case 6:  // parking, crossing
      block(-s * 0.85f, middle - s * 0.85f, s * 0.85f, middle + s * 0.85f, white);
      block(-s * 0.78f, middle - s * 0.78f, s * 0.78f, middle + s * 0.78f, blue);
      if (random.Chance(0.5)) {
        const Point in[3] = {
            {-s * 0.55f, middle - s * 0.5f}, {s * 0.55f, middle - s * 0.5f}, {0, middle + s * 0.5f}};
        f.Polygon(in, white, kSign);
      } else {
        block(-s * 0.35f, middle - s * 0.55f, -s * 0.1f, middle + s * 0.5f, white);
        f.Ellipse(0, middle + s * 0.22f, s * 0.36f, s * 0.3f, white, kSign);
        f.Ellipse(0, middle + s * 0.22f, s * 0.16f, s * 0.12f, blue, kSign);
      }
      break;
    default:  // priority road
      polygon(4, s * 1.2f, 0, white);
      polygon(4, s * 0.85f, 0, yellow);
      break;
  }
  if (random.Chance(0.35)) {  // a plate below
    block(-s * 0.8f, middle - s * 1.75f, s * 0.8f, middle - s * 1.2f, white);
    block(-s * 0.55f, middle - s * 1.55f, s * 0.5f, middle - s * 1.4f, black);
  }
  (void)toward;
}

void DrawBoard(Painter& painter, Random random, Vec3 foot, Vec3 facing) {
  static constexpr Rgb kBack[] = {{0.06f, 0.28f, 0.60f},
                                  {0.05f, 0.38f, 0.24f},
                                  {0.92f, 0.92f, 0.90f},
                                  {0.95f, 0.76f, 0.10f},
                                  {0.45f, 0.28f, 0.14f}};
  const Rgb back = Pick(random, kBack);
  const bool pale = back.r > 0.8f;
  const Vec3 side{facing.z, 0, -facing.x}, up{0, 1, 0};
  const float w = Between(random, 1.5, 2.6), h = Between(random, 1.0, 1.7), low = Between(random, 1.9, 2.6);
  DrawColumn(painter, foot - side * (w * 0.3f), low + h, 0.14f, 0.14f, {0.55f, 0.56f, 0.57f}, kPole);
  DrawColumn(painter, foot + side * (w * 0.3f), low + h, 0.14f, 0.14f, {0.55f, 0.56f, 0.57f}, kPole);
  const Vec3 corner = foot - side * (w / 2) + up * low;
  const Quad board{{corner, corner + side * w, corner + side * w + up * h, corner + up * h}};
  const auto paint = [&](Rgb c) { return painter.LitSoft(c) * (1 + 0.25f * painter.light.night); };
  const Rgb ink = paint(pale ? Rgb{0.1f, 0.1f, 0.12f} : Rgb{0.95f, 0.95f, 0.95f});
  painter.Fill(board, ink, kSign);
  painter.Fill(board.Part(0.025f, 0.04f, 0.975f, 0.96f), paint(back), kSign);
  const int lines = static_cast<int>(random.Between(2, 3));
  for (int i = 0; i < lines; ++i) {
    const float v = 0.9f - 0.8f * static_cast<float>(i + 1) / static_cast<float>(lines) + 0.08f,
                tall = 0.42f / static_cast<float>(lines);
    for (float u = 0.08f; u < 0.62f;) {
      const float letters = Between(random, 0.06, 0.16);
      painter.Fill(board.Part(u, v, u + letters, v + tall), ink, kSign);
      u += letters + 0.03f;
    }
    const Vec3 arrow[3] = {board.At(0.76f, v), board.At(0.92f, v + tall / 2), board.At(0.76f, v + tall)};
    painter.Fill(arrow, ink, kSign);
  }
}

void DrawTrafficLight(Painter& painter, Random random, Vec3 foot, Vec3 toward) {
  const float low = Between(random, 2.1, 2.6);
  DrawColumn(painter, foot, low + 1.1f, 0.16f, 0.15f, {0.24f, 0.25f, 0.25f}, kPole);
  const int on = static_cast<int>(random.Below(3));
  const bool gantry = random.Chance(0.3);
  const auto head = [&](Figure& f, float u, float v) {
    const Point shell[4] = {{u - 0.24f, v}, {u + 0.24f, v}, {u + 0.24f, v + 1.06f}, {u - 0.24f, v + 1.06f}};
    const Point border[4] = {
        {u - 0.3f, v - 0.06f}, {u + 0.3f, v - 0.06f}, {u + 0.3f, v + 1.12f}, {u - 0.3f, v + 1.12f}};
    f.Polygon(border, painter.LitSoft({0.85f, 0.85f, 0.82f}), kTrafficLight);
    f.Polygon(shell, painter.LitSoft({0.08f, 0.09f, 0.09f}), kTrafficLight);
    static constexpr Rgb kLamp[3] = {{0.10f, 0.95f, 0.50f}, {1.0f, 0.72f, 0.10f}, {1.0f, 0.16f, 0.12f}};
    for (int i = 0; i < 3; ++i) {
      f.Ellipse(u, v + 0.2f + 0.33f * static_cast<float>(i), 0.14f, 0.14f,
                i == on ? kLamp[i] : kLamp[i] * 0.22f, kTrafficLight, 12);
    }
  };
  if (gantry) {  // an arm over the road with a second head
    const float height = 5.4f, reach = Between(random, 2.5, 4.0);
    DrawColumn(painter, foot, height, 0.22f, 0.2f, {0.30f, 0.31f, 0.31f}, kPole);
    const Vec3 top = foot + Vec3{0, height, 0}, tip = top + toward * reach, half{0, 0.09f, 0};
    const Vec3 arm[4] = {top - half, tip - half, tip + half, top + half};
    painter.Fill(arm, painter.LitSoft({0.30f, 0.31f, 0.31f}), kPole);
    Figure far(painter, foot + toward * (reach - 0.2f));
    if (far.visible()) head(far, 0, height - 1.0f);
  }
  Figure figure(painter, foot);
  if (figure.visible()) head(figure, 0, low);
}

}  // namespace frf::synth
