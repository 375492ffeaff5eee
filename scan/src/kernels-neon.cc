// 64-bit ARM: every one widens float16.
#include "loops.h"

#if defined(__aarch64__)
#include <arm_neon.h>

namespace scan {
namespace {

struct Neon {
  using V = float32x4_t;
  static constexpr size_t kWidth = 4;

  static V zero() { return vdupq_n_f32(0); }
  static V splat(float x) { return vdupq_n_f32(x); }
  static V load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, V value) { vst1q_f32(to, value); }
  static V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
  static V add(V a, V b) { return vaddq_f32(a, b); }
  static float sum(V v) { return vaddvq_f32(v); }
  static V half(const uint16_t* from) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }
  static V halfPart(const uint16_t* from, size_t count) { return copiedPart<Neon>(from, count); }
};

}  // namespace

const Kernel kNeon = {"neon", dots<Neon>, widen<Neon>, tile<Neon, 8>, 8, 8, codeSums};

}  // namespace scan
#endif
