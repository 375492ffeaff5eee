// Loops over vectors on the processor, for the kernels that libtorch lacks.
#pragma once

#include <ATen/core/Tensor.h>

// Before a function: it is compiled for several generations of x86, and the one that runs is chosen where it is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

// What such a function calls is compiled with it.
#define INLINE inline __attribute__((always_inline))
#define INLINED __attribute__((always_inline))  // after a lambda's parameters

// Before a loop over registers: all of it is written out, so that arrays stay in registers.
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

// Values that are computed at once.
template <typename T>
struct Lanes {
  static constexpr int64_t count = 32 / sizeof(T);
  typedef T Vector __attribute__((vector_size(32)));
};

// Calls `work` with a zero of the dtype, which is float32 or float64.
template <typename Work>
void inDtype(at::ScalarType dtype, Work work) {
  if (dtype == at::kFloat) work(float());
  else work(double());
}
