#include "kernels.h"

#include <cstring>

namespace scan {
namespace {

constexpr size_t kMostKernels = 3;

struct Found {
  Kernel kernels[kMostKernels];
  const char* names[kMostKernels + 1] = {};
  size_t count = 0;

  void add(const Kernel& kernel) {
    kernels[count] = kernel;
    names[count++] = kernel.name;
  }
};

// In the order of their speed.
Found findKernels() {
  Found found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // No processor has AVX2 without F16C, for which some compilers cannot ask.
  const bool hasAvx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
  const bool hasAvx512 = hasAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (hasAvx512) found.add(kAvx512);
  if (hasAvx2) found.add(kAvx2);
#elif defined(__aarch64__)
  found.add(kNeon);
#endif
  found.add(kPortable);
  return found;
}

const Found& found() {
  static const Found kernels = findKernels();
  return kernels;
}

}  // namespace

const Kernel* kernelOf(const char* name) {
  const Found& all = found();
  for (size_t i = 0; i < all.count; i++)
    if (name[0] == '\0' || std::strcmp(all.names[i], name) == 0) return &all.kernels[i];
  return nullptr;
}

const char* const* kernelNames() { return found().names; }

}  // namespace scan
