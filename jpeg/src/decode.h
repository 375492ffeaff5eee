// Decodes JPEG files with libjpeg-turbo to the pixels Pillow gives: accurate integer DCT, smooth chroma upsampling.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jpeg {

struct Picture {
  uint32_t width = 0;
  uint32_t height = 0;
  // width * height * 3 bytes from malloc, which the caller frees; null where the picture was too large to be decoded.
  uint8_t* pixels = nullptr;
};

// False at anything but an undamaged gray, YCbCr or RGB picture: libjpeg's errors and warnings alike. Then `picture` has
// no pixels. A picture of more than `maxPixels` gives its size only.
bool decode(const uint8_t* bytes, size_t length, double maxPixels, Picture& picture);

// What is wanted of a picture that the decoder makes smaller by `denominator`, which is 1, 2, 4 or 8.
struct Window {
  // Those of the smaller picture; a file of another size is refused.
  uint32_t width, height;
  uint32_t denominator;
  uint32_t left, right;
  uint32_t top, bottom;
};

// Takes rows as they are decoded. It must not throw.
class RowTaker {
 public:
  // Where the next row of the window goes: room for `width` + 16 pixels.
  virtual uint8_t* next() = 0;
  // The row is there, from the window's left on.
  virtual void taken(const uint8_t* row) = 0;

 protected:
  ~RowTaker() = default;
};

// The rows of the window, with the very pixels that `decode` gives. False as for `decode`: the file is read to its end.
bool decodeWindow(const uint8_t* bytes, size_t length, const Window& window, RowTaker& taker);

}  // namespace jpeg
