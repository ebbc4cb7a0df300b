// SPDX-License-Identifier: Apache-2.0
// Labels every pixel of a picture from C: weights that ship with frf, a PNG or JPEG in, two PNGs out.
//
//   segment_c street.png mask.png overlay.png [MODEL]
//
// The mask holds class ids; the overlay shows the picture under the classes' colours.
#include <stdio.h>
#include <stdlib.h>

#include "frf/frf.h"

// Blends the colour of each pixel's class into the picture. frf_image_read gave the pixels to us, rows without padding.
static frf_status Blend(const frf_model* model, const frf_labels* labels, uint8_t* rgb) {
  const size_t pixels = (size_t)labels->height * (size_t)labels->width;
  for (size_t i = 0; i < pixels; ++i) {
    uint8_t color[3];
    if (labels->data[i] >= frf_model_class_count(model)) continue;  // 255: the model gives no class
    const frf_status status = frf_model_class_color(model, labels->data[i], color);
    if (status != FRF_OK) return status;
    for (int c = 0; c < 3; ++c) rgb[3 * i + c] = (uint8_t)((rgb[3 * i + c] + color[c]) / 2);
  }
  return FRF_OK;
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: segment_c PICTURE MASK.png OVERLAY.png [MODEL]\n");
    return 2;
  }
  // Everything that is released below starts as NULL: releasing NULL does nothing, so there is one way out.
  frf_model* model = NULL;
  frf_session* session = NULL;
  frf_image image = {NULL, 0, 0, 0, FRF_RGB};
  frf_labels labels = {NULL, 0, 0, 0};
  frf_session_options options = FRF_SESSION_OPTIONS_INIT;
  options.threads = 2;

  frf_status status = frf_model_load(argc > 4 ? argv[4] : "frfnet-slim-synth", &model);
  if (status == FRF_OK) status = frf_session_create(model, &options, &session);
  if (status == FRF_OK) status = frf_image_read(argv[1], &image);
  if (status == FRF_OK) {
    labels.height = image.height;
    labels.width = image.width;
    labels.row_stride = image.width;
    labels.data = malloc((size_t)image.height * (size_t)image.width);
    status = frf_session_run(session, &image, &labels);  // a NULL buffer is an error like any other
  }
  if (status == FRF_OK) status = frf_labels_write_png(argv[2], &labels, model);
  if (status == FRF_OK) status = Blend(model, &labels, (uint8_t*)image.data);
  if (status == FRF_OK) status = frf_image_write_png(argv[3], &image);
  if (status != FRF_OK) fprintf(stderr, "segment_c: %s (%s)\n", frf_last_error(), frf_status_name(status));

  free(labels.data);
  frf_image_free(&image);
  frf_session_free(session);
  frf_model_free(model);
  return status == FRF_OK ? 0 : 1;
}
