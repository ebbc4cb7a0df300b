// SPDX-License-Identifier: Apache-2.0
// From the world to the canvas: a camera, the light, and fills of polygons given in metres. World axes: x to
// the right, y up, z forward along the street at the camera. Subtle: a texture on a plane is addressed
// exactly. Screen position -> (a, b, c) is linear, and a/c, b/c are the plane's coordinates, 1/c the depth;
// so asphalt, bricks and slabs keep perspective, and haze follows the depth of every sample.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "data/synth_canvas.h"

namespace frf::synth {

struct Vec3 {
  float x = 0, y = 0, z = 0;
};
inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3 operator*(Vec3 a, float k) { return {a.x * k, a.y * k, a.z * k}; }
inline float Dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 Cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline float Length(Vec3 a) { return std::sqrt(Dot(a, a)); }
inline Vec3 Unit(Vec3 a) { return a * (1 / std::max(Length(a), 1e-6f)); }
inline Vec3 Lerp(Vec3 a, Vec3 b, float t) { return a + (b - a) * t; }

// Corners in order around: (u, v) = (0,0) (1,0) (1,1) (0,1).
struct Quad {
  Vec3 p[4];
  Vec3 At(float u, float v) const { return Lerp(Lerp(p[0], p[1], u), Lerp(p[3], p[2], u), v); }
  Quad Part(float u0, float v0, float u1, float v1) const {
    return {{At(u0, v0), At(u1, v0), At(u1, v1), At(u0, v1)}};
  }
  Vec3 Centre() const { return At(0.5f, 0.5f); }
};

struct Camera {
  Vec3 position, right{1, 0, 0}, up{0, 1, 0}, forward{0, 0, 1};
  float focal = 800, cx = 480, cy = 360;  // in samples

  void Turn(float yaw, float pitch, float roll);
  Vec3 ToCamera(Vec3 p) const {
    const Vec3 d = p - position;
    return {Dot(d, right), Dot(d, up), Dot(d, forward)};
  }
  Point Project(Vec3 c) const { return {cx + focal * c.x / c.z, cy - focal * c.y / c.z}; }
};

struct Light {
  Vec3 to_sun{0.3f, 0.8f, -0.4f};  // unit
  Rgb sun{0.5f, 0.48f, 0.42f};     // what a face turned to the sun gets on top of the ambient light
  Rgb ambient{0.55f, 0.57f, 0.6f};
  Rgb haze{0.8f, 0.85f, 0.9f};
  float haze_per_metre = 0.003f;
  Rgb shadow_keep{0.55f, 0.56f, 0.62f};
  bool shadows = true;
  float night = 0;  // 0 day .. 1 dusk: lamps and windows are lit
};

enum class Texture { kPlain, kAsphalt, kSlabs, kBrick, kCobble, kGrass, kTiles, kPlanks, kPlaster };

class Painter {
 public:
  Painter(int picture_height, int picture_width) : canvas(picture_height, picture_width) {}

  Canvas canvas;
  Camera camera;
  Light light;

  Rgb Lit(Rgb albedo, Vec3 normal) const {
    return albedo * (light.ambient + light.sun * std::max(0.0f, Dot(normal, light.to_sun)));
  }
  // For things without a definite side: half lit.
  Rgb LitSoft(Rgb albedo) const { return albedo * (light.ambient + light.sun * 0.5f); }
  float HazeAt(float depth) const { return std::min(0.88f, depth * light.haze_per_metre); }
  std::uint32_t Hazy(Rgb lit, Thing thing, float depth) const {
    return Pack(Mix(lit, light.haze, HazeAt(depth)), thing);
  }
  float PixelsPerMetre(Vec3 at) const;  // in picture pixels; 0 behind the camera
  bool Faces(Vec3 at, Vec3 normal) const { return Dot(camera.position - at, normal) > 0; }

  // Flat polygons; `lit` is the colour as seen nearby.
  void Fill(std::span<const Vec3> corners, Rgb lit, Thing thing);
  void Fill(const Quad& quad, Rgb lit, Thing thing) { Fill(std::span<const Vec3>(quad.p), lit, thing); }
  void Blend(std::span<const Vec3> corners, Rgb lit, Thing thing, float opacity, bool take_class);
  void Relabel(std::span<const Vec3> corners, Thing thing);
  void Shade(std::span<const Vec3> corners);
  void Shade(std::span<const Vec3> corners, Rgb keep);
  // The shadow that the convex hull of `points` throws on the ground.
  void CastShadow(std::span<const Vec3> points);
  // A textured polygon of the plane origin + u * u_axis + v * v_axis; u and v in metres for unit axes.
  void FillTexture(std::span<const Vec3> corners, Vec3 origin, Vec3 u_axis, Vec3 v_axis, Rgb lit, Thing thing,
                   Texture texture, float strength = 1);
  // A disc in the plane of two unit axes.
  void Disc(Vec3 centre, Vec3 u_axis, Vec3 v_axis, float radius, Rgb lit, Thing thing, int corners = 18);

  // Near-clipped, projected corners; returns their number and the mean depth.
  int ProjectPolygon(std::span<const Vec3> corners, Point* out, float* depth) const;

 private:
  template <typename Pattern>
  void FillPattern(const Point* points, int count, const float (&map)[9], Rgb lit, Thing thing,
                   Pattern pattern);
};

// Convex hull of points on the ground plane (by x and z), counter-clockwise.
std::vector<Vec3> GroundHull(std::vector<Vec3> points);

// A figure drawn flat, facing the camera: coordinates in metres right of and above a foot point on the
// ground.
class Figure {
 public:
  Figure(Painter& painter, Vec3 foot);
  bool visible() const { return scale_ > 0; }
  float scale() const { return scale_; }  // samples per metre
  float depth() const { return depth_; }
  Point At(float u, float v) const { return {origin_.x + u * scale_, origin_.y - v * scale_}; }

  void Polygon(std::span<const Point> metres, Rgb lit, Thing thing);
  void Ellipse(float u, float v, float ru, float rv, Rgb lit, Thing thing, int corners = 16);
  // A bone: from (u0, v0) to (u1, v1) with a radius at either end.
  void Limb(float u0, float v0, float u1, float v1, float r0, float r1, Rgb lit, Thing thing);
  void Ring(float u, float v, float ru, float rv, float thickness, Rgb lit, Thing thing);
  void RelabelEllipse(float u, float v, float ru, float rv, Rgb tint, float opacity, Thing thing);

 private:
  Painter& painter_;
  Point origin_;
  float scale_ = 0, depth_ = 0;
};

// Helpers for random looks.
inline float Between(Random& random, double low, double high) {
  return static_cast<float>(random.Uniform(low, high));
}
inline Rgb Vary(Random& random, Rgb c, float by) {
  const float k = Between(random, 1 - by, 1 + by);
  return {c.r * k * Between(random, 1 - by / 2, 1 + by / 2), c.g * k,
          c.b * k * Between(random, 1 - by / 2, 1 + by / 2)};
}
template <typename T, std::size_t N>
const T& Pick(Random& random, const T (&items)[N]) {
  return items[random.Below(static_cast<std::int64_t>(N))];
}

}  // namespace frf::synth
