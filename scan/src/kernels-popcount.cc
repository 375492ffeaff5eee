// Sums of binary codes where a processor counts the bits of 512 at once (AVX512_VPOPCNTDQ).
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace scan {

void codeSumsPopcount512(const uint64_t* codes, size_t words, size_t count, const uint64_t* planes, uint32_t* bits,
                         uint32_t* sums) {
  for (size_t r = 0; r < count; r++, codes += words) {
    __m512i set = _mm512_setzero_si512();
    __m512i sum = _mm512_setzero_si512();
    for (size_t w = 0; w < words; w += 8) {
      const auto mask = static_cast<__mmask8>(words - w >= 8 ? 0xff : (1u << (words - w)) - 1);
      const __m512i code = _mm512_maskz_loadu_epi64(mask, codes + w);
      set = _mm512_add_epi64(set, _mm512_popcnt_epi64(code));
      for (unsigned b = 0; b < kPlanes; b++) {
        const __m512i plane = _mm512_maskz_loadu_epi64(mask, planes + b * words + w);
        sum = _mm512_add_epi64(sum, _mm512_slli_epi64(_mm512_popcnt_epi64(_mm512_and_si512(code, plane)), b));
      }
    }
    bits[r] = static_cast<uint32_t>(_mm512_reduce_add_epi64(set));
    sums[r] = static_cast<uint32_t>(_mm512_reduce_add_epi64(sum));
  }
}

}  // namespace scan
#endif
