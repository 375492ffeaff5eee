// Small matrix products and what attention does between them, on the processor: one set of functions for each dtype, of
// the best instructions that this processor has.
#pragma once

#include <cstdint>

// C[m][n] = sum over k of A[m][k] * B[k][n], or that added to C. Rows of B and C are contiguous; A may be transposed.
template <typename T>
struct Product {
  int64_t rows, columns, depth;  // columns: a multiple of the lanes
  const T* a;
  int64_t aRow, aStep;  // values from A[m][k] to A[m + 1][k], and to A[m][k + 1]
  const T* b;
  int64_t bRow;
  T* c;
  int64_t cRow;
  bool add;
};

// Scores of some queries over keys, row by row.
template <typename T>
struct Scores {
  int64_t rows, columns, stride;  // columns: a multiple of the lanes
  // Row r counts its first min(keys, first + r) columns.
  int64_t first, keys;
  T scale;  // of what the exponential is taken
};

template <typename T>
struct Kernels {
  // Values that are computed at once.
  int64_t lanes;

  void (*product)(const Product<T>&);

  // [rows, columns], rows `from` apart -> [columns, rows], rows `to` apart; zeros up to the next multiple of the lanes.
  void (*transpose)(const T* x, int64_t rows, int64_t columns, int64_t from, T* y, int64_t to);

  // scores -> exp(scale * (score - the row's largest)), 0 where a column does not count. statistics [rows, 2]: the
  // largest, and one over the sum.
  void (*exponentials)(const Scores<T>&, T* scores, T* statistics);

  // scores -> probabilities P, of the statistics; gradients of probabilities -> scale * P * (gradient - its mean by P)
  void (*gradients)(const Scores<T>&, T* scores, T* gradients, const T* statistics);
};

// float and double
template <typename T>
const Kernels<T>& kernels();
