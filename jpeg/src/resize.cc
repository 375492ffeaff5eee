#include "resize.h"

#include <algorithm>

// Where the processor has wider vectors they are used, without a build for that processor alone. musl cannot choose.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__)
#define WIDEST_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define WIDEST_VECTORS
#endif

namespace jpeg {
namespace {

constexpr int fractionBits = 22;
constexpr int32_t half = 1 << (fractionBits - 1);

// A value of each of 8 rows.
typedef int32_t Lanes __attribute__((vector_size(lanes * sizeof(int32_t)), aligned(sizeof(int32_t)), may_alias));

typedef uint8_t LaneBytes __attribute__((vector_size(lanes)));

inline uint8_t rounded(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> fractionBits, 0, 255));
}

// The same of all lanes at once.
inline LaneBytes rounded(const Lanes& sums) {
  const Lanes zero = {}, most = zero + 255;
  Lanes values = sums >> fractionBits;
  values = values < zero ? zero : values;
  values = values > most ? most : values;
  return __builtin_convertvector(values, LaneBytes);
}

// 8 rows of `length` bytes -> [length, 8]
WIDEST_VECTORS
void interleave(const uint8_t* const* rows, size_t length, uint8_t* __restrict bytes) {
  const uint8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  const uint8_t *r4 = rows[4], *r5 = rows[5], *r6 = rows[6], *r7 = rows[7];
  for (size_t i = 0; i < length; i++) {
    uint8_t* to = bytes + i * lanes;
    to[0] = r0[i];
    to[1] = r1[i];
    to[2] = r2[i];
    to[3] = r3[i];
    to[4] = r4[i];
    to[5] = r5[i];
    to[6] = r6[i];
    to[7] = r7[i];
  }
}

WIDEST_VECTORS
void widen(const uint8_t* bytes, size_t length, int32_t* __restrict values) {
  for (size_t i = 0; i < length; i++) values[i] = bytes[i];
}

// [inputs, 3, 8] -> `count` of the 8 rows of `taps.length` pixels.
WIDEST_VECTORS
void sumColumns(const int32_t* tile, uint32_t left, const Taps& taps, uint32_t count, uint8_t* out, size_t rowBytes) {
  for (uint32_t o = 0; o < taps.length; o++) {
    Lanes red = Lanes{} + half, green = red, blue = red;
    const int32_t* in = tile + size_t(taps.starts[o] - left) * 3 * lanes;
    const int32_t* weights = taps.weights + size_t{o} * taps.stride;
    for (int32_t k = 0; k < taps.counts[o]; k++, in += 3 * lanes) {
      red += weights[k] * *reinterpret_cast<const Lanes*>(in);
      green += weights[k] * *reinterpret_cast<const Lanes*>(in + lanes);
      blue += weights[k] * *reinterpret_cast<const Lanes*>(in + 2 * lanes);
    }
    const LaneBytes reds = rounded(red), greens = rounded(green), blues = rounded(blue);
    for (uint32_t lane = 0; lane < count; lane++) {
      uint8_t* to = out + lane * rowBytes + size_t{o} * 3;
      to[0] = reds[lane];
      to[1] = greens[lane];
      to[2] = blues[lane];
    }
  }
}

WIDEST_VECTORS
void addRow(const uint8_t* row, int32_t weight, size_t length, int32_t* __restrict sums) {
  for (size_t i = 0; i < length; i++) sums[i] += weight * row[i];
}

WIDEST_VECTORS
void roundRow(const int32_t* sums, size_t length, uint8_t* __restrict bytes) {
  for (size_t i = 0; i < length; i++) bytes[i] = rounded(sums[i]);
}

size_t tileLength(const Window& window) { return size_t{window.right - window.left} * 3 * lanes; }

}  // namespace

NarrowPicture::NarrowPicture(const Target& target)
    : target(target),
      top(target.rows.starts[0]),
      rowBytes(size_t{target.columns.length} * 3),
      pixels(new uint8_t[rowBytes * (target.rows.end - top)]) {}

void NarrowPicture::addRows(const int32_t* tile, uint32_t windowLeft, uint32_t first, uint32_t count) {
  const uint32_t begin = std::max(first, top);
  const uint32_t end = std::min(first + count, target.rows.end);
  if (begin >= end) return;
  // Lanes before the target's first row are moved out of the way.
  sumColumns(tile + (begin - first), windowLeft, target.columns, end - begin, pixels.get() + rowBytes * (begin - top), rowBytes);
}

void NarrowPicture::writeTo(float* out) const {
  const Taps &columns = target.columns, &rows = target.rows;
  const size_t plane = size_t{columns.length} * rows.length;
  std::vector<int32_t> sums(rowBytes);
  std::vector<uint8_t> bytes(rowBytes);
  for (uint32_t y = 0; y < rows.length; y++) {
    std::fill(sums.begin(), sums.end(), half);
    for (int32_t k = 0; k < rows.counts[y]; k++)
      addRow(pixels.get() + rowBytes * (rows.starts[y] + k - top), rows.weights[size_t{y} * rows.stride + k], rowBytes, sums.data());
    roundRow(sums.data(), rowBytes, bytes.data());
    float* to = out + size_t{y} * columns.length;
    for (uint32_t x = 0; x < columns.length; x++)
      for (size_t c = 0; c < 3; c++) to[c * plane + x] = target.values[c * 256 + bytes[x * 3 + c]];
  }
}

Resizer::Resizer(const Window& window, const std::vector<Target>& targets)
    : window(window),
      targets(targets),
      stride((size_t{window.width} + 16) * 3),
      rows(new uint8_t[stride * lanes]),
      bytes(new uint8_t[tileLength(window)]),
      tile(new int32_t[tileLength(window) + lanes]),
      first(window.top) {
  // A target that begins within 8 rows reads that much further: what was there before could overflow its sums.
  std::fill_n(tile.get() + tileLength(window), lanes, 0);
  for (const Target& target : targets) narrow.emplace_back(target);
}

uint8_t* Resizer::next() { return rows.get() + stride * count; }

void Resizer::taken(const uint8_t* row) {
  waiting[count++] = row;
  if (count == lanes) flush();
}

void Resizer::flush() {
  if (count == 0) return;
  for (uint32_t lane = count; lane < lanes; lane++) waiting[lane] = waiting[0];
  interleave(waiting, tileLength(window) / lanes, bytes.get());
  widen(bytes.get(), tileLength(window), tile.get());
  for (NarrowPicture& picture : narrow) picture.addRows(tile.get(), window.left, first, count);
  first += count;
  count = 0;
}

void Resizer::finish() {
  flush();
  for (size_t i = 0; i < targets.size(); i++) narrow[i].writeTo(targets[i].out);
}

}  // namespace jpeg
