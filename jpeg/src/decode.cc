#include "decode.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#ifndef LIBJPEG_TURBO_VERSION
#error "this libjpeg is not libjpeg-turbo"
#endif

namespace jpeg {
namespace {

// A file of a few kilobytes can ask for thousands of passes over a huge picture.
constexpr int maxScans = 100;
constexpr JDIMENSION rowsAtOnce = 16;

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf giveUp;
};

[[noreturn]] void giveUp(j_common_ptr info) {
  std::longjmp(reinterpret_cast<ErrorManager*>(info->err)->giveUp, 1);
}

// Level -1 is a warning about damaged data; higher ones only trace.
void onMessage(j_common_ptr info, int level) {
  if (level < 0) giveUp(info);
}

void onProgress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > maxScans) giveUp(info);
}

bool isSupported(const jpeg_decompress_struct& info) {
  return info.jpeg_color_space == JCS_GRAYSCALE || info.jpeg_color_space == JCS_YCbCr || info.jpeg_color_space == JCS_RGB;
}

void readRows(jpeg_decompress_struct& info, uint8_t* pixels) {
  JSAMPROW rows[rowsAtOnce];
  const size_t stride = size_t{info.output_width} * 3;
  while (info.output_scanline < info.output_height) {
    const JDIMENSION left = info.output_height - info.output_scanline;
    const JDIMENSION count = left < rowsAtOnce ? left : rowsAtOnce;
    for (JDIMENSION i = 0; i < count; i++) rows[i] = pixels + stride * (info.output_scanline + i);
    jpeg_read_scanlines(&info, rows, count);
  }
}

// The size, and the pixels unless there are too many of them.
bool decodeInto(jpeg_decompress_struct& info, double maxPixels, Picture& picture) {
  jpeg_read_header(&info, TRUE);
  if (!isSupported(info)) return false;
  picture.width = info.image_width;
  picture.height = info.image_height;
  if (double(picture.width) * picture.height > maxPixels) return true;
  info.out_color_space = JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&info);
  picture.pixels = static_cast<uint8_t*>(std::malloc(size_t{picture.width} * picture.height * 3));
  if (!picture.pixels) return false;
  readRows(info, picture.pixels);
  // Reads on to the end marker, so a file that was cut off shows.
  jpeg_finish_decompress(&info);
  return true;
}

}  // namespace

bool decode(const uint8_t* bytes, size_t length, double maxPixels, Picture& picture) {
  // Nothing here has a destructor: longjmp would skip it.
  jpeg_decompress_struct info = {};
  ErrorManager errors;
  jpeg_progress_mgr progress = {};
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = giveUp;
  errors.base.emit_message = onMessage;
  progress.progress_monitor = onProgress;
  volatile bool decoded = false;
  if (setjmp(errors.giveUp) == 0) {
    jpeg_create_decompress(&info);
    info.progress = &progress;
    jpeg_mem_src(&info, bytes, static_cast<unsigned long>(length));
    decoded = decodeInto(info, maxPixels, picture);
  }
  jpeg_destroy_decompress(&info);
  if (!decoded) {
    std::free(picture.pixels);
    picture.pixels = nullptr;
  }
  return decoded;
}

}  // namespace jpeg
