// SPDX-License-Identifier: Apache-2.0
// The C API of frf: labels for every frame, from C99 or through any language's foreign-function interface.
//
//   frf_model* model = NULL;
//   frf_session* session = NULL;
//   frf_session_options options = FRF_SESSION_OPTIONS_INIT;
//   options.threads = 2;
//   if (frf_model_load("frfnet-camvid", &model) != FRF_OK ||
//       frf_session_create(model, &options, &session) != FRF_OK) {
//     fprintf(stderr, "%s\n", frf_last_error());
//   } else {
//     frf_image frame = {bgr, 720, 960, 3 * 960, FRF_BGR};  // a camera's buffer as it is
//     frf_labels labels = {ids, 720, 960, 960};             // 720 x 960 bytes of one's own
//     if (frf_session_run(session, &frame, &labels) != FRF_OK) fprintf(stderr, "%s\n", frf_last_error());
//   }
//   frf_session_free(session);
//   frf_model_free(model);
//
// It is a layer of handles and status codes over frf::LoadedModel and frf::Session (frf/session.h): one
// implementation, the same labels. C programs, other languages and plug-ins use this one; it is what stays
// the same from version to version.
//
// Rules that hold for every function:
// - Errors. A function that can fail returns an frf_status, FRF_OK being 0; frf_last_error() tells in one
//   line what was wanted, what was seen and what to do. No C++ exception leaves a function, nothing is
//   printed, and no code of frf ends the process (docs/deploy.md names what beneath it may). A null pointer
//   where none is allowed is FRF_INVALID_ARGUMENT. What a function was to write is untouched after an error,
//   labels and scores excepted; a handle it was to make is NULL.
// - Ownership. What a function makes (`frf_model**`, `frf_session**`, frf_image_read) the caller releases,
//   once, by the function named beside it; releasing NULL does nothing. What the caller hands in stays the
//   caller's and may be released as soon as the function returns: nothing is kept but what is said. Strings
//   returned belong to the library.
// - Threads. A model never changes once loaded: any number of threads may use it. A session is used by one
//   thread at a time, not always the same; sessions of one model run side by side and share its packed
//   weights. frf_last_error is per thread.
// - Layout. Pictures and labels are rows from the top, left to right; sizes are in pixels, strides in bytes,
//   both signed.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The version these declarations are of; frf_version() is the library's that is loaded.
#define FRF_VERSION_MAJOR 0
#define FRF_VERSION_MINOR 1
#define FRF_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

// The codes of frf::ErrorCode, and FRF_OK. Numbers never change; new ones may come behind.
typedef enum frf_status {
  FRF_OK = 0,
  FRF_USAGE = 1,             // of the command line; no function here returns it
  FRF_INVALID_ARGUMENT = 2,  // a null pointer, a size, a stride or an option out of its documented range
  FRF_NOT_FOUND = 3,         // no such file, nor shipped weights of that name
  FRF_CORRUPT_FILE = 4,      // a file that is cut short, malformed, or contradicts itself
  FRF_UNSUPPORTED = 5,       // well-formed, but not something this version can do
  FRF_OUT_OF_MEMORY = 6,     // above options.max_memory, refused before the allocation; or one failed
  FRF_IO = 7,                // the operating system refused to read or write
  FRF_INTERRUPTED = 8,       // of training; no function here returns it
  FRF_INTERNAL = 9           // a broken promise of the library's own: please report it
} frf_status;

// "0.1.0". Valid for ever. Never fails.
const char* frf_version(void);

// The code in words, "invalid argument". Valid for ever. Never fails: "unknown status" for what is none.
const char* frf_status_name(frf_status status);

// Why the latest function of this thread that failed did so; "" when none has. One line, UTF-8 where paths
// are, starting with the file's name if a file is at fault; cut at 1023 bytes. A success leaves it as it was.
// Valid until this thread's next failure.
const char* frf_last_error(void);

// ----------------------------------------------------------------------------------------------------------------
// models

// A network with its weights, classes, palette and pre-processing: what one ONNX file holds.
typedef struct frf_model frf_model;

// Loads an ONNX file, or shipped weights by name ("frfnet-camvid"; FRF_WEIGHTS, share/frf/weights beside the
// program or the library). *model is released by frf_model_free. NOT_FOUND, IO, CORRUPT_FILE, UNSUPPORTED,
// OUT_OF_MEMORY. A file of a fixed size may be read again for a second session: it must stay as it is while
// sessions are made of the model (else frf_model_load_memory). A run of such a session can then fail with
// NOT_FOUND, IO, or INVALID_ARGUMENT ("has changed since it was loaded").
frf_status frf_model_load(const char* name_or_path, frf_model** model);

// The same from `size` bytes of an ONNX file in memory (embedded, downloaded, decrypted). The bytes are
// copied.
frf_status frf_model_load_memory(const void* bytes, size_t size, frf_model** model);

// Releases the handle. Sessions made of the model hold what they need of it: they may live on, in any order.
void frf_model_free(frf_model* model);

// Number of classes, 1 to 255; a label is below it, or 255 (void: unlabelled), which only a file
// that itself ends in labels can answer. 0 for NULL.
int frf_model_class_count(const frf_model* model);

// "road". Valid as long as the handle. NULL where the model is or `id` is not in [0, class count).
const char* frf_model_class_name(const frf_model* model, int id);

// The colour in which the class is drawn, as R, G, B in 0..255. INVALID_ARGUMENT for an id out of range.
frf_status frf_model_class_color(const frf_model* model, int id, uint8_t rgb[3]);

// What label files of the model's data set call the class, 0..255: the id itself where the file names no
// other. -1 where the model is NULL or `id` is out of range.
int frf_model_label_id(const frf_model* model, int id);

// What frf_session_run_planes wants of a pixel: (pixel - mean) / deviation, for R, G and B; mean and
// deviation in units of 8-bit pixels (0..255), deviation above 0.
frf_status frf_model_normalization(const frf_model* model, float mean[3], float deviation[3]);

// The size of the images that the network was trained at; 0, 0 where the file does not say.
frf_status frf_model_trained_size(const frf_model* model, int* height, int* width);

// Height and width of the network's input are multiples of this, where the file does not fix them. 0 for
// NULL.
int frf_model_size_multiple(const frf_model* model);

// 1 where the file itself ends in labels, so that there are no scores to ask for; else 0. 0 for NULL.
int frf_model_gives_labels(const frf_model* model);

// Text of a key of the file's metadata, UTF-8: "frf.license", "frf.train" (JSON) and so on, as
// docs/formats.md lists them; of frf's own keys that the file lacks, the default that is used. Valid as long
// as the handle. NULL where there is no such key, and for a NULL argument.
const char* frf_model_metadata(const frf_model* model, const char* key);

// --------------------------------------------------------------------------------------------------------------
// sessions

// A model made ready to run. It keeps plans and buffers for the last four input sizes; packed weights stay
// with the model, at most 16 times the file's and 4 MB (a size may want a form of its own; five times the
// first size's were met); what is beyond that each plan keeps for itself.
typedef struct frf_session frf_session;

// Options. Start from FRF_SESSION_OPTIONS_INIT and set what you need: fields are added behind, never moved,
// and `size` tells the library which the caller knows; those it does not know are at their defaults. A caller
// newer than the library is served as long as what the library does not know is 0, and refused with
// INVALID_ARGUMENT otherwise.
typedef struct frf_session_options {
  size_t size;  // sizeof(frf_session_options)
  // Size of the network's input, multiples of frf_model_size_multiple. 0, 0: as the file says, either a size
  // that every image is brought to or the image's own.
  int height, width;
  int threads;  // 0: all cores that this process may use
  // Not 0: measure which kernels are fastest when a size is first planned (about two seconds) and keep the
  // result in FRF_CACHE, XDG_CACHE_HOME/frf or ~/.cache/frf. What is kept there is used at 0 too; else a rule
  // decides. Where a third of max_memory is too little for one way, nothing is measured.
  int tune;
  // Bytes that a plan may need for maps, scratch and what operators without kernels of the engine's hold;
  // packed weights are not counted. 0: half of RAM.
  uint64_t max_memory;
  // What the operands of convolutions' products are rounded to: FRF_FLOAT32, or 16 bits, with which a frame
  // takes less time and few labels change (docs/deploy.md). UNSUPPORTED where the CPU cannot.
  int precision;
  int reserved;  // 0
} frf_session_options;

enum { FRF_FLOAT32 = 0, FRF_BFLOAT16 = 1, FRF_FLOAT16 = 2 };

#define FRF_SESSION_OPTIONS_INIT \
  { sizeof(frf_session_options), 0, 0, 0, 0, 0, FRF_FLOAT32, 0 }

// Makes a session; `options` may be NULL for the defaults. *session is released by frf_session_free. Nothing
// is planned yet. INVALID_ARGUMENT (one of height and width alone, a negative number, another size than a
// file's fixed one or no multiple of what it wants, an unknown precision, a `size` that no version had),
// UNSUPPORTED (a precision that this CPU cannot compute in), OUT_OF_MEMORY.
frf_status frf_session_create(const frf_model* model, const frf_session_options* options,
                              frf_session** session);

// Releases the session. None of its functions may be running.
void frf_session_free(frf_session* session);

// What the bytes of a pixel are, in memory. Alpha is passed over; grey (mono8) counts as R = G = B.
typedef enum frf_pixel_order {
  FRF_RGB = 0,
  FRF_BGR = 1,
  FRF_RGBA = 2,
  FRF_BGRA = 3,
  FRF_GRAY = 4
} frf_pixel_order;

// A picture: 8 bits a channel, channels interleaved (HWC). Rows may be padded. A cv::Mat of CV_8UC3 is
// {mat.data, mat.rows, mat.cols, (ptrdiff_t)mat.step, FRF_BGR}.
typedef struct frf_image {
  const uint8_t* data;
  int height, width;     // each at least 1
  ptrdiff_t row_stride;  // bytes from one row to the next, at least width times 3; RGBA, BGRA 4, grey 1
  frf_pixel_order order;
} frf_image;

// Room for labels: a byte a pixel (HW), the class's id. Rows may be padded; the padding is left alone.
typedef struct frf_labels {
  uint8_t* data;
  int height, width;     // each at least 1; usually the image's
  ptrdiff_t row_stride;  // bytes from one row to the next, at least width
} frf_labels;

// The size, in pixels, at which the network sees an image of that size: what planes must be at, and what
// scores are at unless the network's output is smaller (frf_session_scores_shape). INVALID_ARGUMENT for an
// image size below 1.
frf_status frf_session_input_size(const frf_session* session, int image_height, int image_width, int* height,
                                  int* width);

// The shape of the scores that an input of height x width gives: shape[0] classes, shape[1] rows, shape[2]
// columns. Plans for that size, as the first run would. UNSUPPORTED where the network's output is labels;
// else as frf_session_run.
frf_status frf_session_scores_shape(frf_session* session, int height, int width, int shape[3]);

// Labels for an image, at the size of `labels`: where that is not the network's, scores are resized
// (bilinear), then the best class is taken; the lowest id wins ties. The first run at a size plans: it packs
// weights, allocates and chooses. After that a run allocates nothing and takes no lock where the image is of
// the network's input size; another size is resized first, which does allocate. INVALID_ARGUMENT, UNSUPPORTED
// (an operator, at the first run), CORRUPT_FILE (a network whose scores do not fit its classes),
// OUT_OF_MEMORY; NOT_FOUND and IO where a fixed-size file has gone (frf_model_load).
frf_status frf_session_run(frf_session* session, const frf_image* image, const frf_labels* labels);

// Scores for an image, before any softmax: classes x rows x columns floats (CHW) as frf_session_scores_shape
// says of the network's input size. `count` is the number of floats that `scores` has
// room for; fewer than needed is INVALID_ARGUMENT and nothing is run. UNSUPPORTED where the network's output
// is labels; else as frf_session_run.
frf_status frf_session_run_scores(frf_session* session, const frf_image* image, float* scores, size_t count);

// For input that is normalised already: 3 x height x width contiguous floats (CHW: all red, all green, all
// blue), each (pixel - mean) / deviation as frf_model_normalization says. That very size is planned, whatever
// options.height and width are; it must be a multiple of frf_model_size_multiple, and a file with a fixed
// size takes no other. Either of `scores` (with room for `count` floats, as above) and `labels` may be NULL,
// not both; both cost two passes through the network.
frf_status frf_session_run_planes(frf_session* session, const float* planes, int height, int width,
                                  float* scores, size_t count, const frf_labels* labels);

// -------------------------------------------------------------------------------------------------------------
// pictures

// Reads a PNG or JPEG file, recognised by its content, as 8-bit RGB without padding; EXIF rotation is
// applied. image->data is the caller's, to write to as well, until frf_image_free releases it. NOT_FOUND, IO,
// INVALID_ARGUMENT (a folder), CORRUPT_FILE (cut short, damaged), UNSUPPORTED, OUT_OF_MEMORY (above 100
// megapixels).
frf_status frf_image_read(const char* path, frf_image* image);

// The same of a file's `size` bytes in memory (a camera's compressed message); nothing is kept of them.
// INVALID_ARGUMENT (NULL), CORRUPT_FILE, UNSUPPORTED, OUT_OF_MEMORY.
frf_status frf_image_decode(const void* bytes, size_t size, frf_image* image);

// Releases what frf_image_read and frf_image_decode made, and nothing else, and sets data to NULL.
void frf_image_free(frf_image* image);

// Writes a picture as PNG: grey as grey, alpha with the colours. A file that was there stays whole until the
// new one is complete. INVALID_ARGUMENT, NOT_FOUND (there is no such folder), IO.
frf_status frf_image_write_png(const char* path, const frf_image* image);

// Writes labels as a PNG whose stored bytes are the ids: with the model's colours as its palette, or grey for
// a NULL model. Codes as of frf_image_write_png.
frf_status frf_labels_write_png(const char* path, const frf_labels* labels, const frf_model* model);

#ifdef __cplusplus
}
#endif
