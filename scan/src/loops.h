// The loops of all kernels, over what an instruction set gives as `Isa`: a vector of floats, its load, widening of float16,
// a fused product and a sum. Everything is in an unnamed namespace and nothing is taken from the standard library: code that
// was compiled for one instruction set must not be linked in place of another's.
#pragma once
#include "kernels.h"

namespace scan {
namespace {

// Isa::halfPart where there is no masked load: nothing is read beyond the row, which may be the file's last.
template <typename Isa>
inline typename Isa::V copiedPart(const uint16_t* from, size_t count) {
  uint16_t part[Isa::kWidth] = {};
  for (size_t i = 0; i < count; i++) part[i] = from[i];
  return Isa::half(part);
}

// The four sums of each query follow one another in the same way for every number of queries and every row.
template <typename Isa, int Queries>
inline void dotsOf(const float* query, size_t stride, const uint16_t* rows, size_t dim, size_t count, float* out,
                   size_t outStride) {
  using V = typename Isa::V;
  constexpr size_t kWidth = Isa::kWidth;
  for (size_t r = 0; r < count; r++, rows += dim) {
    V sums[Queries][4];
    for (int q = 0; q < Queries; q++)
      for (int u = 0; u < 4; u++) sums[q][u] = Isa::zero();
    size_t i = 0;
    for (; i + 4 * kWidth <= dim; i += 4 * kWidth) {
      for (int u = 0; u < 4; u++) {
        const V x = Isa::half(rows + i + u * kWidth);
        for (int q = 0; q < Queries; q++)
          sums[q][u] = Isa::fma(x, Isa::load(query + q * stride + i + u * kWidth), sums[q][u]);
      }
    }
    for (; i < dim; i += kWidth) {
      const V x = i + kWidth <= dim ? Isa::half(rows + i) : Isa::halfPart(rows + i, dim - i);
      for (int q = 0; q < Queries; q++) sums[q][0] = Isa::fma(x, Isa::load(query + q * stride + i), sums[q][0]);
    }
    for (int q = 0; q < Queries; q++)
      out[q * outStride + r] =
          Isa::sum(Isa::add(Isa::add(sums[q][0], sums[q][1]), Isa::add(sums[q][2], sums[q][3])));
  }
}

template <typename Isa>
void dots(const float* query, size_t queries, size_t stride, const uint16_t* rows, size_t dim, size_t count, float* out,
          size_t outStride) {
  if (queries == 4) return dotsOf<Isa, 4>(query, stride, rows, dim, count, out, outStride);
  if (queries == 3) return dotsOf<Isa, 3>(query, stride, rows, dim, count, out, outStride);
  if (queries == 2) return dotsOf<Isa, 2>(query, stride, rows, dim, count, out, outStride);
  dotsOf<Isa, 1>(query, stride, rows, dim, count, out, outStride);
}

template <typename Isa>
void widen(const uint16_t* half, size_t count, float* out) {
  constexpr size_t kWidth = Isa::kWidth;
  size_t i = 0;
  for (; i + kWidth <= count; i += kWidth) Isa::store(out + i, Isa::half(half + i));
  if (i == count) return;
  float rest[kWidth];
  Isa::store(rest, Isa::halfPart(half + i, count - i));
  for (size_t j = 0; i + j < count; j++) out[i + j] = rest[j];
}

// Rows x (2 vectors) of products stay in registers over the whole width.
template <typename Isa, int Rows>
void tile(const float* rows, const float* columns, size_t dim, float* out) {
  using V = typename Isa::V;
  constexpr size_t kWidth = Isa::kWidth;
  V left[Rows], right[Rows];
  for (int r = 0; r < Rows; r++) left[r] = right[r] = Isa::zero();
  for (size_t i = 0; i < dim; i++, rows += Rows, columns += 2 * kWidth) {
    const V a = Isa::load(columns);
    const V b = Isa::load(columns + kWidth);
    for (int r = 0; r < Rows; r++) {
      const V x = Isa::splat(rows[r]);
      left[r] = Isa::fma(x, a, left[r]);
      right[r] = Isa::fma(x, b, right[r]);
    }
  }
  for (int r = 0; r < Rows; r++) {
    Isa::store(out + r * 2 * kWidth, left[r]);
    Isa::store(out + r * 2 * kWidth + kWidth, right[r]);
  }
}

inline void codeSums(const uint64_t* codes, size_t words, size_t count, const uint64_t* planes, uint32_t* bits,
                     uint32_t* sums) {
  for (size_t r = 0; r < count; r++, codes += words) {
    uint32_t set = 0, sum = 0;
    for (size_t w = 0; w < words; w++) {
      set += static_cast<uint32_t>(__builtin_popcountll(codes[w]));
      for (size_t b = 0; b < kPlanes; b++)
        sum += static_cast<uint32_t>(__builtin_popcountll(codes[w] & planes[b * words + w])) << b;
    }
    bits[r] = set;
    sums[r] = sum;
  }
}

}  // namespace
}  // namespace scan
