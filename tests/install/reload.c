// SPDX-License-Identifier: Apache-2.0
// What a host of plug-ins does: loads libfrf.so, uses it, lets it go and loads it again, in one process.
//
//   reload LIBFRF.so MODEL
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "frf/frf.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  for (int turn = 0; turn < 3; ++turn) {
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
      fprintf(stderr, "turn %d: %s\n", turn, dlerror());
      return 1;
    }
    frf_status (*load)(const char*, frf_model**);
    void (*release)(frf_model*);
    void* found[] = {dlsym(library, "frf_model_load"), dlsym(library, "frf_model_free")};
    memcpy(&load, &found[0], sizeof(load));  // C has no cast from void* to a function
    memcpy(&release, &found[1], sizeof(release));
    frf_model* model = NULL;
    if (load(argv[2], &model) != FRF_OK) return 1;
    release(model);
    dlclose(library);
  }
  return 0;
}
