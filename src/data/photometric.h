// SPDX-License-Identifier: Apache-2.0
// What augmentation does to grey levels: exposure, colour, blur, sensor noise.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "data/loader.h"

namespace frf {

struct Photometric {  // one draw of AugmentSpec's ranges
  bool apply = false;
  double gain = 1, shift = 0, saturation = 1, gamma = 1, temperature = 0;
  double channels[3] = {1, 1, 1};
  double blur = 0, noise = 0;  // standard deviations: pixels, grey levels
  std::uint64_t noise_seed = 0;
};

struct Window {  // rows [top, bottom) and columns [left, right): the picture without its padding
  int top, bottom, left, right;
};

// `random` gives what recipes always had, `later` what was added since. Both are read to the same place
// whatever the spec.
Photometric ChoosePhotometric(const AugmentSpec& spec, Random& random, Random& later);

// In this order: gamma; gain, temperature and channels; shift; saturation about the grey value (Rec. 601);
// clipping; blur; noise. Pixels outside `window` stay as they are and are not blurred in.
void ChangePhotometry(Image& image, const Photometric& change, const Window& window);

}  // namespace frf
