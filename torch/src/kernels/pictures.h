// Vectors that hold one pixel of several pictures, and their exchange with planes of pixels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

template <int lanes>
struct Pictures {
  typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));
};

typedef float Eight __attribute__((vector_size(32)));
typedef int32_t EightPlaces __attribute__((vector_size(32)));

#ifdef __clang__
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, EightPlaces{__VA_ARGS__})
#endif

INLINE void transpose(Eight* r) {
  Eight t[8], u[8];
  UNROLLED
  for (int i = 0; i < 8; i += 2) {
    t[i] = PICK(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = PICK(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  UNROLLED
  for (int i = 0; i < 8; i += 4) {
    UNROLLED
    for (int j = 0; j < 2; ++j) {
      u[i + 2 * j] = PICK(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      u[i + 2 * j + 1] = PICK(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  UNROLLED
  for (int i = 0; i < 4; ++i) {
    r[i] = PICK(u[i], u[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    r[i + 4] = PICK(u[i], u[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// Planes of `count` pictures, `stride` floats apart -> vectors at `places`; lanes without a picture become zeros.
template <int lanes>
INLINE void gatherPlanes(const float* planes, int64_t stride, int64_t count, const std::vector<int32_t>& places,
                         float* vectors) {
  const int64_t size = static_cast<int64_t>(places.size());
  for (int64_t group = 0; group < lanes; group += 8) {
    int64_t p = 0;
    for (; p + 8 <= size; p += 8) {
      Eight rows[8] = {};
      for (int64_t n = group; n < std::min(group + 8, count); ++n)
        std::memcpy(&rows[n - group], planes + n * stride + p, sizeof(Eight));
      transpose(rows);
      for (int64_t i = 0; i < 8; ++i) std::memcpy(vectors + places[p + i] * lanes + group, &rows[i], sizeof(Eight));
    }
    for (; p < size; ++p)
      for (int64_t n = group; n < group + 8; ++n)
        vectors[places[p] * lanes + n] = n < count ? planes[n * stride + p] : 0;
  }
}

template <int lanes>
INLINE void scatterPlanes(const float* vectors, int64_t size, float* planes, int64_t stride, int64_t count) {
  for (int64_t group = 0; group < std::min<int64_t>(lanes, count); group += 8) {
    int64_t p = 0;
    for (; p + 8 <= size; p += 8) {
      Eight rows[8];
      for (int64_t i = 0; i < 8; ++i) std::memcpy(&rows[i], vectors + (p + i) * lanes + group, sizeof(Eight));
      transpose(rows);
      for (int64_t n = group; n < std::min(group + 8, count); ++n)
        std::memcpy(planes + n * stride + p, &rows[n - group], sizeof(Eight));
    }
    for (; p < size; ++p)
      for (int64_t n = group; n < std::min(group + 8, count); ++n) planes[n * stride + p] = vectors[p * lanes + n];
  }
}

#undef PICK
