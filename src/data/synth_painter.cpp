// SPDX-License-Identifier: Apache-2.0
// Camera, light, textured planes and flat figures of the scene generator.
// Subtle: texture contrast fades where a sample covers more than a texture cell; otherwise distant bricks
// would alias into noise that no camera shows.
#include "data/synth_painter.h"

namespace frf::synth {
namespace {

constexpr float kNear = 0.25f;

// Without SSE4.1 std::floor is a call, and these run for every sample.
float Floor(float v) {
  const float whole = static_cast<float>(static_cast<int>(v));
  return whole > v ? whole - 1 : whole;
}
float Frac(float v) { return v - Floor(v); }

}  // namespace

void Camera::Turn(float yaw, float pitch, float roll) {
  forward = {std::sin(yaw) * std::cos(pitch), std::sin(pitch), std::cos(yaw) * std::cos(pitch)};
  const Vec3 level = Unit(Cross({0, 1, 0}, forward));
  const Vec3 top = Cross(forward, level);
  right = level * std::cos(roll) + top * std::sin(roll);
  up = top * std::cos(roll) - level * std::sin(roll);
}

float Painter::PixelsPerMetre(Vec3 at) const {
  const float z = camera.ToCamera(at).z;
  return z > kNear ? camera.focal / z / 2 : 0;
}

int Painter::ProjectPolygon(std::span<const Vec3> corners, Point* out, float* depth) const {
  Vec3 seen[kMaxCorners];
  const int n = static_cast<int>(std::min<std::size_t>(corners.size(), kMaxCorners / 2));
  bool all = true, any = false;
  for (int i = 0; i < n; ++i) {
    seen[i] = camera.ToCamera(corners[i]);
    const bool in = seen[i].z >= kNear;
    all = all && in;
    any = any || in;
  }
  if (!any) return 0;
  int count = 0;
  float sum = 0;
  for (int i = 0; i < n; ++i) {
    const Vec3 a = seen[i], b = seen[i + 1 == n ? 0 : i + 1];
    if (a.z >= kNear) {
      out[count++] = camera.Project(a);
      sum += a.z;
    }
    if (!all && (a.z >= kNear) != (b.z >= kNear)) {
      const Vec3 cut = Lerp(a, b, (kNear - a.z) / (b.z - a.z));
      out[count++] = camera.Project({cut.x, cut.y, kNear});
      sum += kNear;
    }
  }
  *depth = sum / static_cast<float>(std::max(count, 1));
  return count;
}

void Painter::Fill(std::span<const Vec3> corners, Rgb lit, Thing thing) {
  Point points[kMaxCorners];
  float depth;
  const int n = ProjectPolygon(corners, points, &depth);
  if (n > 2) canvas.Fill(points, n, Hazy(lit, thing, depth));
}

void Painter::Blend(std::span<const Vec3> corners, Rgb lit, Thing thing, float opacity, bool take_class) {
  Point points[kMaxCorners];
  float depth;
  const int n = ProjectPolygon(corners, points, &depth);
  if (n > 2) canvas.Blend(points, n, Hazy(lit, thing, depth), static_cast<int>(opacity * 256), take_class);
}

void Painter::Relabel(std::span<const Vec3> corners, Thing thing) {
  Point points[kMaxCorners];
  float depth;
  const int n = ProjectPolygon(corners, points, &depth);
  if (n > 2) canvas.Relabel(points, n, thing);
}

void Painter::Shade(std::span<const Vec3> corners, Rgb keep) {
  Point points[kMaxCorners];
  float depth;
  const int n = ProjectPolygon(corners, points, &depth);
  if (n > 2) canvas.Shade(points, n, Mix(keep, {1, 1, 1}, HazeAt(depth)));
}

void Painter::Shade(std::span<const Vec3> corners) { Shade(corners, light.shadow_keep); }

void Painter::CastShadow(std::span<const Vec3> points) {
  if (!light.shadows) return;
  const float per_height = 1 / std::max(light.to_sun.y, 0.12f);
  std::vector<Vec3> fallen;
  for (const Vec3& p : points) {
    fallen.push_back({p.x - light.to_sun.x * p.y * per_height, 0, p.z - light.to_sun.z * p.y * per_height});
  }
  Shade(GroundHull(std::move(fallen)));
}

template <typename Pattern>
void Painter::FillPattern(const Point* points, int count, const float (&map)[9], Rgb lit, Thing thing,
                          Pattern pattern) {
  const std::uint32_t base = Pack(lit, thing), far = Pack(light.haze, thing);
  const int red = base & 255, green = base >> 8 & 255, blue = base >> 16 & 255;
  const int far_red = far & 255, far_green = far >> 8 & 255, far_blue = far >> 16 & 255;
  const std::uint32_t bits = static_cast<std::uint32_t>(thing) << 24;
  const float haze = light.haze_per_metre * 256;
  ScanPolygon(points, count, canvas.height(), canvas.width(), [&](int y, int x0, int x1) {
    const float sx = static_cast<float>(x0) + 0.5f, sy = static_cast<float>(y) + 0.5f;
    float a = map[0] + map[1] * sx + map[2] * sy, b = map[3] + map[4] * sx + map[5] * sy,
          c = map[6] + map[7] * sx + map[8] * sy;
    std::uint32_t* p = canvas.row(y);
    for (int x = x0; x < x1; ++x, a += map[1], b += map[4], c += map[7]) {
      const float z = 1 / std::max(c, 1e-4f);
      const int m = pattern(a * z, b * z, z);  // 256 leaves the colour as it is
      const int h = static_cast<int>(std::min(z * haze, 225.0f));
      const int r = std::min(red * m >> 8, 255), g = std::min(green * m >> 8, 255),
                l = std::min(blue * m >> 8, 255);
      p[x] = static_cast<std::uint32_t>(r + ((far_red - r) * h >> 8)) |
             static_cast<std::uint32_t>(g + ((far_green - g) * h >> 8)) << 8 |
             static_cast<std::uint32_t>(l + ((far_blue - l) * h >> 8)) << 16 | bits;
    }
  });
}

void Painter::FillTexture(std::span<const Vec3> corners, Vec3 origin, Vec3 u_axis, Vec3 v_axis, Rgb lit,
                          Thing thing, Texture texture, float strength) {
  Point points[kMaxCorners];
  float depth;
  const int n = ProjectPolygon(corners, points, &depth);
  if (n < 3) return;
  const Vec3 o = camera.ToCamera(origin);
  const auto turn = [this](Vec3 d) {
    return Vec3{Dot(d, camera.right), Dot(d, camera.up), Dot(d, camera.forward)};
  };
  const Vec3 u = turn(u_axis), v = turn(v_axis);
  const float det = Dot(u, Cross(v, o));
  if (std::abs(det) < 1e-4f) {  // seen edge on
    canvas.Fill(points, n, Hazy(lit, thing, depth));
    return;
  }
  const Vec3 rows[3] = {Cross(v, o) * (1 / det), Cross(o, u) * (1 / det), Cross(u, v) * (1 / det)};
  float map[9];
  for (int i = 0; i < 3; ++i) {
    map[3 * i] = rows[i].z - rows[i].x * camera.cx / camera.focal + rows[i].y * camera.cy / camera.focal;
    map[3 * i + 1] = rows[i].x / camera.focal;
    map[3 * i + 2] = -rows[i].y / camera.focal;
  }
  const auto& grain = Noise().grain;
  const auto& cloud = Noise().cloud;
  const int k = static_cast<int>(strength * 256);
  const float reach = camera.focal / 800;  // sharper pictures show detail farther away
  const float fade = 1 / reach;
  const auto near = [fade](float z, float limit) { return std::max(0.0f, 1 - z * (fade / limit)); };
  const auto fill = [&](auto pattern) { FillPattern(points, n, map, lit, thing, pattern); };
  switch (texture) {
    case Texture::kPlain:
      fill([&](float s, float t, float) { return 256 + ((NoiseAt(cloud, s * 9, t * 9) - 128) * k >> 11); });
      break;
    case Texture::kAsphalt:
      fill([&](float s, float t, float z) {
        const int fine =
            static_cast<int>(static_cast<float>(NoiseAt(grain, s * 37, t * 37) - 128) * near(z, 30));
        return 256 + ((fine * 2 + (NoiseAt(cloud, s * 11, t * 4) - 128)) * k >> 10);
      });
      break;
    case Texture::kSlabs:
      fill([&](float s, float t, float z) {
        const float row = Floor(t / 0.6f);
        const float su = Frac(s / 0.9f + row * 0.5f), tv = Frac(t / 0.6f);
        const float sharp = near(z, 24);
        const int joint = su < 0.05f || tv < 0.07f ? static_cast<int>(-70 * sharp) : 0;
        const int slab = static_cast<int>(
            static_cast<float>(NoiseAt(grain, Floor(s / 0.9f + row * 0.5f) * 7, row * 13) - 128) * 0.22f *
            sharp);
        return 256 + ((joint + slab + ((NoiseAt(cloud, s * 14, t * 14) - 128) >> 3)) * k >> 8);
      });
      break;
    case Texture::kBrick:
      fill([&](float s, float t, float z) {
        const float course = Floor(t * 5.5f);
        const float su = Frac(s * 2.2f + course * 0.5f), tv = t * 5.5f - course;
        const float sharp = near(z, 34);
        const int joint = su < 0.08f || tv < 0.16f ? static_cast<int>(46 * sharp) : 0;
        const int brick = static_cast<int>(
            static_cast<float>(NoiseAt(grain, Floor(s * 2.2f + course * 0.5f) * 5, course * 11) - 128) *
            0.5f * sharp);
        return 256 + ((joint + brick + ((NoiseAt(cloud, s * 6, t * 6) - 128) >> 2)) * k >> 8);
      });
      break;
    case Texture::kCobble:
      fill([&](float s, float t, float z) {
        const float row = Floor(t * 6);
        const float su = Frac(s * 6 + row * 0.37f) - 0.5f, tv = t * 6 - row - 0.5f;
        const float sharp = near(z, 18);
        const int stone = static_cast<int>(
            static_cast<float>(NoiseAt(grain, Floor(s * 6 + row * 0.37f) * 3, row * 5) - 128) * 0.35f *
            sharp);
        const int gap = static_cast<int>((su * su + tv * tv) * -170 * sharp);
        return 256 + ((stone + gap + ((NoiseAt(cloud, s * 5, t * 5) - 128) >> 2)) * k >> 8);
      });
      break;
    case Texture::kGrass:
      fill([&](float s, float t, float z) {
        const int blade =
            static_cast<int>(static_cast<float>(NoiseAt(grain, s * 31, t * 17) - 128) * 0.6f * near(z, 30));
        return 256 + ((blade + ((NoiseAt(cloud, s * 8, t * 8) - 128) >> 1)) * k >> 8);
      });
      break;
    case Texture::kTiles:
      fill([&](float s, float t, float z) {
        const float row = Floor(t * 3.2f);
        const float tv = t * 3.2f - row, su = Frac(s * 3.2f + row * 0.5f);
        const float sharp = near(z, 42);
        const int edge = tv < 0.18f  ? static_cast<int>(-60 * sharp)
                         : su < 0.1f ? static_cast<int>(-24 * sharp)
                                     : 0;
        return 256 + ((edge + ((NoiseAt(cloud, s * 7, t * 7) - 128) >> 2)) * k >> 8);
      });
      break;
    case Texture::kPlanks:
      fill([&](float s, float t, float z) {
        const float board = Floor(s * 6), su = s * 6 - board;
        const float sharp = near(z, 30);
        const int gap = su < 0.14f ? static_cast<int>(-110 * sharp) : 0;
        const int tone =
            static_cast<int>(static_cast<float>(NoiseAt(grain, board * 3, 9) - 128) * 0.3f * sharp);
        return 256 + ((gap + tone + ((NoiseAt(cloud, s * 40, t * 5) - 128) >> 3)) * k >> 8);
      });
      break;
    case Texture::kPlaster:
      fill([&](float s, float t, float z) {
        const int fine =
            static_cast<int>(static_cast<float>(NoiseAt(grain, s * 21, t * 21) - 128) * 0.1f * near(z, 26));
        const int streak = (NoiseAt(cloud, s * 13, t * 2.5f) - 128) >> 3;
        return 256 + ((fine + streak) * k >> 8);
      });
      break;
  }
}

void Painter::Disc(Vec3 centre, Vec3 u_axis, Vec3 v_axis, float radius, Rgb lit, Thing thing, int corners) {
  Vec3 around[kMaxCorners / 2];
  corners = std::min(corners, kMaxCorners / 2);
  for (int i = 0; i < corners; ++i) {
    const float angle = 6.2831853f * static_cast<float>(i) / static_cast<float>(corners);
    around[i] = centre + u_axis * (radius * std::cos(angle)) + v_axis * (radius * std::sin(angle));
  }
  Fill({around, static_cast<std::size_t>(corners)}, lit, thing);
}

std::vector<Vec3> GroundHull(std::vector<Vec3> points) {
  std::sort(points.begin(), points.end(),
            [](Vec3 a, Vec3 b) { return a.x < b.x || (a.x == b.x && a.z < b.z); });
  std::vector<Vec3> hull;
  const auto turn = [](Vec3 a, Vec3 b, Vec3 c) {
    return (b.x - a.x) * (c.z - a.z) - (b.z - a.z) * (c.x - a.x);
  };
  for (int pass = 0; pass < 2; ++pass) {  // lower chain, then upper
    const std::size_t start = hull.size();
    for (const Vec3& p : points) {
      while (hull.size() >= start + 2 && turn(hull[hull.size() - 2], hull.back(), p) <= 0) hull.pop_back();
      hull.push_back(p);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  return hull;
}

Figure::Figure(Painter& painter, Vec3 foot) : painter_(painter) {
  const Vec3 seen = painter.camera.ToCamera(foot);
  if (seen.z < 1) return;
  depth_ = seen.z;
  scale_ = painter.camera.focal / seen.z;
  origin_ = painter.camera.Project(seen);
}

void Figure::Polygon(std::span<const Point> metres, Rgb lit, Thing thing) {
  Point points[kMaxCorners];
  const int n = static_cast<int>(std::min<std::size_t>(metres.size(), kMaxCorners));
  for (int i = 0; i < n; ++i) points[i] = At(metres[i].x, metres[i].y);
  painter_.canvas.Fill(points, n, painter_.Hazy(lit, thing, depth_));
}

void Figure::Ellipse(float u, float v, float ru, float rv, Rgb lit, Thing thing, int corners) {
  Point around[kMaxCorners];
  for (int i = 0; i < corners; ++i) {
    const float angle = 6.2831853f * static_cast<float>(i) / static_cast<float>(corners);
    around[i] = {u + ru * std::cos(angle), v + rv * std::sin(angle)};
  }
  Polygon({around, static_cast<std::size_t>(corners)}, lit, thing);
}

void Figure::Limb(float u0, float v0, float u1, float v1, float r0, float r1, Rgb lit, Thing thing) {
  constexpr int kHalf = 6;
  Point around[2 * kHalf];
  const float along = std::atan2(v1 - v0, u1 - u0);
  for (int i = 0; i < kHalf; ++i) {
    const float angle = along + 1.5707963f + 3.1415927f * static_cast<float>(i) / (kHalf - 1);
    around[i] = {u0 + r0 * std::cos(angle), v0 + r0 * std::sin(angle)};
    around[kHalf + i] = {u1 - r1 * std::cos(angle), v1 - r1 * std::sin(angle)};
  }
  Polygon(around, lit, thing);
}

void Figure::Ring(float u, float v, float ru, float rv, float thickness, Rgb lit, Thing thing) {
  constexpr int kCorners = 20;
  for (int i = 0; i < kCorners; ++i) {  // as short pieces, so that what is inside stays
    const float a = 6.2831853f * static_cast<float>(i) / kCorners,
                b = 6.2831853f * static_cast<float>(i + 1) / kCorners;
    const float inner_u = std::max(ru - thickness, 0.0f), inner_v = rv - thickness;
    const Point piece[4] = {{u + ru * std::cos(a), v + rv * std::sin(a)},
                            {u + ru * std::cos(b), v + rv * std::sin(b)},
                            {u + inner_u * std::cos(b), v + inner_v * std::sin(b)},
                            {u + inner_u * std::cos(a), v + inner_v * std::sin(a)}};
    Polygon(piece, lit, thing);
  }
}

void Figure::RelabelEllipse(float u, float v, float ru, float rv, Rgb tint, float opacity, Thing thing) {
  constexpr int kCorners = 18;
  Point around[kCorners];
  for (int i = 0; i < kCorners; ++i) {
    const float angle = 6.2831853f * static_cast<float>(i) / kCorners;
    around[i] = At(u + ru * std::cos(angle), v + rv * std::sin(angle));
  }
  painter_.canvas.Blend(around, kCorners, painter_.Hazy(tint, thing, depth_), static_cast<int>(opacity * 256),
                        true);
}

}  // namespace frf::synth
