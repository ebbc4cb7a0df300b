// SPDX-License-Identifier: Apache-2.0
// Labels every pixel of a picture: weights that ship with frf, a PNG or JPEG in, two PNGs out.
//
//   segment_cpp street.png mask.png overlay.png [MODEL]
//
// The mask holds class ids; the overlay shows the picture under the classes' colours.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "frf/image_io.h"
#include "frf/session.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: segment_cpp PICTURE MASK.png OVERLAY.png [MODEL]\n");
    return 2;
  }
  try {
    // Loaded once; the first Run at a size plans, every later one only executes. One session a thread.
    frf::Session session(argc > 4 ? argv[4] : "frfnet-slim-synth", {.threads = 2});

    frf::Image image = frf::ReadImage(argv[1]);
    frf::LabelImage labels = session.Run(image.view());
    frf::WriteLabels(argv[2], labels, session.model());

    const frf::LoadedModel& model = session.model();
    std::vector<std::size_t> pixels(model.classes());
    for (int y = 0; y < image.height; ++y) {
      for (int x = 0; x < image.width; ++x) {
        const int id = labels.at(y, x);
        if (id >= model.classes()) continue;  // 255: the model gives no class
        const std::uint8_t* color = model.class_color(id);
        for (int c = 0; c < 3; ++c)
          image.at(y, x)[c] = static_cast<std::uint8_t>((image.at(y, x)[c] + color[c]) / 2);
        ++pixels[id];
      }
    }
    frf::WritePng(argv[3], image);

    for (int id = 0; id < model.classes(); ++id) {
      if (pixels[id] > 0)
        std::printf("%5.1f %% %s\n", 100.0 * pixels[id] / labels.ids.size(), model.class_name(id).c_str());
    }
  } catch (const frf::Error& error) {  // one line: what was wanted, what was seen, what to do
    std::fprintf(stderr, "segment_cpp: %s\n", error.what());
    return 1;
  }
  return 0;
}
