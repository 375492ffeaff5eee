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

}  // namespace jpeg
