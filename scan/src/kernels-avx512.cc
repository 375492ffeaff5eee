// x86 processors with AVX-512 (F, BW, VL, DQ).
#include "loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace scan {
namespace {

struct Avx512 {
  using V = __m512;
  static constexpr size_t kWidth = 16;

  static V zero() { return _mm512_setzero_ps(); }
  static V splat(float x) { return _mm512_set1_ps(x); }
  static V load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, V value) { _mm512_storeu_ps(to, value); }
  static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
  static V add(V a, V b) { return _mm512_add_ps(a, b); }
  static float sum(V v) { return _mm512_reduce_add_ps(v); }
  static V half(const uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  // A masked load reads nothing beyond the row, which may be the file's last.
  static V halfPart(const uint16_t* from, size_t count) {
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from));
  }
};

}  // namespace

const Kernel kAvx512 = {"avx512", dots<Avx512>, widen<Avx512>, tile<Avx512, 12>, 12, 32, codeSums};

}  // namespace scan
#endif
