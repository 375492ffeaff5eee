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

bool readHeader(jpeg_decompress_struct& info) {
  jpeg_read_header(&info, TRUE);
  if (!isSupported(info)) return false;
  info.out_color_space = JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  return true;
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
  if (!readHeader(info)) return false;
  picture.width = info.image_width;
  picture.height = info.image_height;
  if (double(picture.width) * picture.height > maxPixels) return true;
  jpeg_start_decompress(&info);
  picture.pixels = static_cast<uint8_t*>(std::malloc(size_t{picture.width} * picture.height * 3));
  if (!picture.pixels) return false;
  readRows(info, picture.pixels);
  // Reads on to the end marker, so a file that was cut off shows.
  jpeg_finish_decompress(&info);
  return true;
}

// Columns are left out in whole blocks, and the decoder takes the edge of what is left for the picture's: chroma that is
// interpolated needs a neighbour. Returns how many columns come before the window's.
JDIMENSION cropColumns(jpeg_decompress_struct& info, const Window& window) {
  // What a progressive file lacks is smoothed over several blocks, and little is gained there. Where colours have a quarter of
  // the columns, libjpeg does not make them smaller alike with and without the other columns.
  const bool isUnequal = window.denominator > 1 && (info.max_h_samp_factor > 2 || info.max_v_samp_factor > 2);
  if (jpeg_has_multiple_scans(&info) || isUnequal) return window.left;
  const JDIMENSION margin = 2 * info.max_h_samp_factor * DCTSIZE;
  JDIMENSION left = window.left > margin ? window.left - margin : 0;
  const JDIMENSION right = info.output_width - window.right > margin ? window.right + margin : info.output_width;
  if (left == 0 && right == info.output_width) return window.left;
  JDIMENSION width = right - left;
  jpeg_crop_scanline(&info, &left, &width);
  return window.left - left;
}

bool takeWindow(jpeg_decompress_struct& info, const Window& window, RowTaker& taker) {
  if (!readHeader(info)) return false;
  info.scale_num = 1;
  info.scale_denom = window.denominator;
  jpeg_calc_output_dimensions(&info);
  if (info.output_width != window.width || info.output_height != window.height) return false;
  jpeg_start_decompress(&info);
  const JDIMENSION before = cropColumns(info, window);
  // No row is skipped: libjpeg-turbo 2.1.5 can then wait for ever, or does not read the end, where damage would show.
  while (info.output_scanline < info.output_height) {
    const JDIMENSION y = info.output_scanline;
    JSAMPROW row = taker.next();
    const bool isRead = jpeg_read_scanlines(&info, &row, 1) == 1;
    if (isRead && y >= window.top && y < window.bottom) taker.taken(row + size_t{before} * 3);
  }
  jpeg_finish_decompress(&info);
  return true;
}

// Runs `read` on the file: false where libjpeg gives up. Nothing in here, or in `read`, may have a destructor: longjmp would
// skip it.
template <typename Read>
bool withDecoder(const uint8_t* bytes, size_t length, const Read& read) {
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
    decoded = read(info);
  }
  jpeg_destroy_decompress(&info);
  return decoded;
}

}  // namespace

bool decode(const uint8_t* bytes, size_t length, double maxPixels, Picture& picture) {
  const bool decoded = withDecoder(bytes, length, [&](jpeg_decompress_struct& info) { return decodeInto(info, maxPixels, picture); });
  if (!decoded) {
    std::free(picture.pixels);
    picture.pixels = nullptr;
  }
  return decoded;
}

bool decodeWindow(const uint8_t* bytes, size_t length, const Window& window, RowTaker& taker) {
  return withDecoder(bytes, length, [&](jpeg_decompress_struct& info) { return takeWindow(info, window, taker); });
}

}  // namespace jpeg
