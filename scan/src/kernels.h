// Inner loops over rows of float16, one set for each kind of processor. No function here has anything to destroy, because
// a read of a mapped file may end it (guard.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace scan {

// Queries that are multiplied in one pass over the rows.
constexpr size_t kMostQueries = 4;
// Floats of a query are a multiple of this, filled up with zeros.
constexpr size_t kLanes = 16;
// Rows of a tile of products are at most this many, columns at most that.
constexpr size_t kMostTileRows = 12;
constexpr size_t kMostTileColumns = 32;
// Bits of a quantized query that is compared with binary codes: more find nothing that these do not.
constexpr size_t kPlanes = 4;

struct Kernel {
  const char* name;
  // Products of queries [queries, stride], 1 to kMostQueries of them, with rows [count, dim] -> out[query * outStride + row].
  // A product does not depend on what is multiplied beside it.
  void (*dots)(const float* query, size_t queries, size_t stride, const uint16_t* rows, size_t dim, size_t count,
               float* out, size_t outStride);
  // float16 -> float32
  void (*widen)(const uint16_t* half, size_t count, float* out);
  // Products of a panel [dim, tileRows] with a panel [dim, tileColumns] -> out [tileRows, tileColumns].
  void (*tile)(const float* rows, const float* columns, size_t dim, float* out);
  size_t tileRows;
  size_t tileColumns;
  // For each code [words], the bits that are set, and the sum of 2^b times those that it shares with plane b [kPlanes, words].
  void (*codeSums)(const uint64_t* codes, size_t words, size_t count, const uint64_t* planes, uint32_t* bits,
                   uint32_t* sums);
};

// The kernel of a name, or the fastest of this processor for "". Null where there is no such kernel here.
const Kernel* kernelOf(const char* name);

// Names of this processor's kernels, the fastest first; ends with null.
const char* const* kernelNames();

extern const Kernel kPortable;
#if defined(__x86_64__)
extern const Kernel kAvx2;
extern const Kernel kAvx512;
#elif defined(__aarch64__)
extern const Kernel kNeon;
#endif

}  // namespace scan
