// x86 processors since 2013: AVX2, FMA and F16C.
#include "loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace scan {
namespace {

struct Avx2 {
  using V = __m256;
  static constexpr size_t kWidth = 8;

  static V zero() { return _mm256_setzero_ps(); }
  static V splat(float x) { return _mm256_set1_ps(x); }
  static V load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, V value) { _mm256_storeu_ps(to, value); }
  static V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
  static V add(V a, V b) { return _mm256_add_ps(a, b); }
  static float sum(V v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static V half(const uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  }
  static V halfPart(const uint16_t* from, size_t count) { return copiedPart<Avx2>(from, count); }
};

}  // namespace

const Kernel kAvx2 = {"avx2", dots<Avx2>, widen<Avx2>, tile<Avx2, 6>, 6, 16, codeSums};

}  // namespace scan
#endif
