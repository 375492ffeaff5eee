// Decoded rows to the pixels that models take: the two passes of Pillow's resize and the look-up of each byte's value, as
// kernels/resample.ts and kernels/operations.ts compute them. The same weights come in, so the same values go out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "decode.h"

namespace jpeg {

// Output o is the sum of counts[o] inputs from starts[o] on, with weights of 22 fractional bits from weights[o * stride] on.
struct Taps {
  const int32_t* starts;
  const int32_t* counts;
  const int32_t* weights;
  uint32_t length;
  uint32_t stride;
  // One past the last input.
  uint32_t end;
};

struct Target {
  Taps columns;
  Taps rows;
  // [3, 256]: values of bytes by channel.
  const float* values;
  // [3, rows, columns]
  float* out;
};

// What a target has of the picture after the horizontal pass.
class NarrowPicture {
 public:
  explicit NarrowPicture(const Target& target);
  // Rows of the picture from `first` on, `count` of them, side by side: [pixels from the window's left on, 3, 8].
  void addRows(const int32_t* tile, uint32_t windowLeft, uint32_t first, uint32_t count);
  void writeTo(float* out) const;

 private:
  const Target& target;
  uint32_t top;
  size_t rowBytes;
  std::unique_ptr<uint8_t[]> pixels;
};

// Makes all targets of a picture from its rows.
class Resizer final : public RowTaker {
 public:
  Resizer(const Window& window, const std::vector<Target>& targets);
  uint8_t* next() override;
  void taken(const uint8_t* row) override;
  void finish();

 private:
  void flush();

  static constexpr uint32_t lanes = 8;
  const Window& window;
  const std::vector<Target>& targets;
  std::vector<NarrowPicture> narrow;
  size_t stride;
  std::unique_ptr<uint8_t[]> rows;
  std::unique_ptr<uint8_t[]> bytes;
  std::unique_ptr<int32_t[]> tile;
  const uint8_t* waiting[lanes] = {};
  uint32_t count = 0;
  uint32_t first;
};

}  // namespace jpeg
