// exp of vectors of float32, for kernels that take many.
#pragma once

#include <cstdint>
#include <cstring>

#include "vectors.h"

// Values that are not above 0: x = n * ln 2 + r, and a series for r; within 1.3 units in the last place, or 0.95 where
// products and sums are fused. 0 below -87, near the smallest normal number. `Integers`: a vector of as many int32.
template <typename Vector, typename Integers>
INLINE void exponential(Vector& x) {
  constexpr float shift = 12582912;  // 1.5 * 2^23: a sum with it is rounded to an integer, which is in its low bits
  constexpr int32_t shiftBits = 0x4b400000, one = 0x3f800000;
  const Vector shifted = x * 1.44269504f + shift, n = shifted - shift;
  // The first part of ln 2 has few bits, so that its product with n is exact.
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector sum = r * (1 / 5040.f) + 1 / 720.f;
  sum = sum * r + 1 / 120.f;
  sum = sum * r + 1 / 24.f;
  sum = sum * r + 1 / 6.f;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.f;
  sum = sum * r + 1.f;
  Integers bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = ((bits - shiftBits) << 23) + one;
  Vector power;
  std::memcpy(&power, &bits, sizeof power);
  x = x < -87.f ? Vector{} : sum * power;
}
