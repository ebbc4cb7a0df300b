// SPDX-License-Identifier: Apache-2.0
// The street itself: its course and cross-section, the weather, and the drawing of all that lies flat on the
// ground. Positions along it are (s, t): metres ahead of the camera along the centre line, metres to the
// right of it. Subtle: beyond `bend_start` the centre line is a circular arc; things placed by (s, t) follow
// it, and everything that could fold over itself (t beyond the arc's centre) is kept apart by limits on the
// curvature.
#pragma once

#include "base/random.h"
#include "data/synth_painter.h"

namespace frf::synth {

enum class SideStyle { kTown, kHouses, kPark };

struct Side {
  SideStyle style = SideStyle::kTown;
  float parking = 0;  // width of the parking lane
  float verge = 0;    // grass between kerb and pavement
  float pavement = 2.5f;
  bool autumn = false;
};

struct Street {
  float curvature = 0, bend_start = 15, end = 130;  // 1/m, to the right where positive
  int hand = 1;                                     // 1: traffic keeps to the right, -1: to the left
  int lanes = 1;                                    // in each direction
  float lane = 3.2f;                                // width
  Side sides[2];                                    // left, right
  float junction_start = 0, junction_end = 0;       // of the side street's carriageway; equal: none
  float zebra = -1;                                 // s of a zebra crossing, or -1
  bool signals = false, cobbled = false, yellow = false, tram = false;
  Rgb asphalt{0.36f, 0.36f, 0.37f}, slabs{0.62f, 0.60f, 0.57f}, grass{0.34f, 0.46f, 0.17f},
      yard{0.6f, 0.58f, 0.55f};
  Texture pavement_texture = Texture::kSlabs;

  Vec3 At(float s, float t, float y = 0) const;
  float Heading(float s) const { return curvature * std::max(0.0f, s - bend_start); }
  Vec3 Along(float s) const { return {std::sin(Heading(s)), 0, std::cos(Heading(s))}; }
  Vec3 Right(float s) const { return {std::cos(Heading(s)), 0, -std::sin(Heading(s))}; }
  bool has_junction() const { return junction_end > junction_start; }
  // Side -1 left, 1 right.
  const Side& side(int sign) const { return sides[sign > 0 ? 1 : 0]; }
  float Kerb(int sign) const { return lane * static_cast<float>(lanes) + side(sign).parking; }
  float PavementStart(int sign) const { return Kerb(sign) + side(sign).verge; }
  float PavementEnd(int sign) const { return PavementStart(sign) + side(sign).pavement; }
  // Nothing may stand between the kerbs and building lines of the side street.
  bool InJunction(float s, float margin) const {
    return has_junction() && s > junction_start - margin && s < junction_end + margin;
  }
};

struct Weather {
  Light light;
  Finish finish;
  float cloudiness = 0.3f;
};

Weather ChooseWeather(Random& random);
Street ChooseStreet(Random& random, bool rare);
Camera ChooseCamera(Random& random, const Street& street, int height, int width);

// Road, pavements, plots, markings; no shadows.
void DrawGround(Painter& painter, Random random, const Street& street);

}  // namespace frf::synth
