// For any processor: vectors of four, which compilers make of whatever there is, and float16 by integer arithmetic.
#include <cstring>

#include "loops.h"

namespace scan {
namespace {

struct Portable {
  typedef float V __attribute__((vector_size(16)));
  typedef uint32_t U __attribute__((vector_size(16)));
  static constexpr size_t kWidth = 4;

  static V zero() { return V{0, 0, 0, 0}; }
  static V splat(float x) { return V{x, x, x, x}; }
  static V load(const float* from) {
    V value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(float* to, V value) { std::memcpy(to, &value, sizeof value); }
  static V fma(V a, V b, V c) { return a * b + c; }
  static V add(V a, V b) { return a + b; }
  static float sum(V v) { return (v[0] + v[1]) + (v[2] + v[3]); }

  // Exact. A number below 2^-14 has no leading 1: it is made with one, and 2^-14 is taken away again.
  static V half(const uint16_t* from) {
    const U bits = {from[0], from[1], from[2], from[3]};
    const U shifted = (bits & 0x7fffu) << 13;
    const U exponent = shifted & 0x0f800000u;
    const U isTop = reinterpret_cast<U>(exponent == 0x0f800000u);
    const U isSmall = reinterpret_cast<U>(exponent == 0u);
    const U word = shifted + 0x38000000u + (isTop & 0x38000000u) + (isSmall & 0x00800000u);
    const V value = reinterpret_cast<V>(word) - reinterpret_cast<V>(isSmall & 0x38800000u);
    return reinterpret_cast<V>(reinterpret_cast<U>(value) | ((bits & 0x8000u) << 16));
  }
  static V halfPart(const uint16_t* from, size_t count) { return copiedPart<Portable>(from, count); }
};

}  // namespace

const Kernel kPortable = {"portable", dots<Portable>, widen<Portable>, tile<Portable, 4>, 4, 8, codeSums};

}  // namespace scan
