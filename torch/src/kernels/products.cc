// Small matrix products, transposes and softmax over vectors whose width is the processor's; see products.h.
#include "products.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "exponential.h"
#include "vectors.h"

namespace {

// Vectors of so many bytes; a tile of a product is held in registers: `wide` rows of four vectors where there are 32
// registers, else none, or `narrow` rows of two or one.
template <typename T, int size, int wideRows, int narrowRows>
struct Target {
  using Value = T;
  using Integer = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T Vector __attribute__((vector_size(size)));
  typedef Integer Integers __attribute__((vector_size(size)));
  static constexpr int64_t lanes = size / sizeof(T);
  static constexpr int wide = wideRows, narrow = narrowRows;
};

template <typename V, typename T>
INLINE void load(V& vector, const T* x) {
  std::memcpy(&vector, x, sizeof vector);
}

template <typename V, typename T>
INLINE void store(T* x, const V& vector) {
  std::memcpy(x, &vector, sizeof vector);
}

template <typename To, int rows, int vectors, typename T = typename To::Value>
INLINE void tile(const Product<T>& p, const T* a, const T* b, T* c) {
  using Vector = typename To::Vector;
  Vector sums[rows][vectors];
  for (int m = 0; m < rows; ++m)
    for (int n = 0; n < vectors; ++n) {
      if (p.add) load(sums[m][n], c + m * p.cRow + n * To::lanes);
      else sums[m][n] = Vector{};
    }
  for (int64_t k = 0; k < p.depth; ++k, a += p.aStep, b += p.bRow) {
    Vector row[vectors];
    for (int n = 0; n < vectors; ++n) load(row[n], b + n * To::lanes);
    for (int m = 0; m < rows; ++m)
      for (int n = 0; n < vectors; ++n) sums[m][n] += a[m * p.aRow] * row[n];
  }
  for (int m = 0; m < rows; ++m)
    for (int n = 0; n < vectors; ++n) store(c + m * p.cRow + n * To::lanes, sums[m][n]);
}

template <typename To, int most, int vectors, typename T = typename To::Value>
INLINE void tileOf(int64_t rows, const Product<T>& p, const T* a, const T* b, T* c) {
  if constexpr (most > 1)
    if (rows < most) return tileOf<To, most - 1, vectors>(rows, p, a, b, c);
  tile<To, most, vectors>(p, a, b, c);
}

// All rows of some columns, in tiles of about one height.
template <typename To, int most, int vectors, typename T = typename To::Value>
INLINE void panel(const Product<T>& p, int64_t column) {
  const int64_t parts = (p.rows + most - 1) / most, height = (p.rows + parts - 1) / parts;
  for (int64_t m = 0; m < p.rows; m += height)
    tileOf<To, most, vectors>(std::min(height, p.rows - m), p, p.a + m * p.aRow, p.b + column,
                              p.c + m * p.cRow + column);
}

template <typename To, typename T = typename To::Value>
INLINE void productOf(const Product<T>& p) {
  if (p.rows == 0) return;
  int64_t n = 0;
  if constexpr (To::wide > 0)
    for (; n + 4 * To::lanes <= p.columns; n += 4 * To::lanes) panel<To, To::wide, 4>(p, n);
  for (; n + 2 * To::lanes <= p.columns; n += 2 * To::lanes) panel<To, To::narrow, 2>(p, n);
  if (n < p.columns) panel<To, To::narrow, 1>(p, n);
}

// Where lane l of a pair's transpose comes from: 0 .. lanes - 1 of the first vector, then of the second.
constexpr int64_t sourceOf(int64_t lane, int64_t step, bool second, int64_t lanes) {
  const bool odd = lane & step;
  if (second) return odd ? lanes + lane : lane + step;
  return odd ? lanes + lane - step : lane;
}

// Exchanges the blocks beside the diagonal of two vectors, `step` lanes each.
template <typename To, int64_t step, size_t... lane, typename Vector = typename To::Vector>
INLINE void exchange(Vector& first, Vector& second, std::index_sequence<lane...>) {
  constexpr int64_t lanes = To::lanes;
  const Vector a = first, b = second;
#ifdef __clang__
  first = __builtin_shufflevector(a, b, sourceOf(lane, step, false, lanes)...);
  second = __builtin_shufflevector(a, b, sourceOf(lane, step, true, lanes)...);
#else
  using Integers = typename To::Integers;
  first = __builtin_shuffle(a, b, Integers{sourceOf(lane, step, false, lanes)...});
  second = __builtin_shuffle(a, b, Integers{sourceOf(lane, step, true, lanes)...});
#endif
}

template <typename To, int64_t step, typename Vector = typename To::Vector>
INLINE void transposeSquare(Vector* square) {
  for (int64_t i = 0; i < To::lanes; ++i)
    if (!(i & step)) exchange<To, step>(square[i], square[i + step], std::make_index_sequence<To::lanes>());
  if constexpr (step * 2 < To::lanes) transposeSquare<To, step * 2>(square);
}

template <typename To, typename T = typename To::Value>
INLINE void transposeOf(const T* x, int64_t rows, int64_t columns, int64_t from, T* y, int64_t to) {
  constexpr int64_t lanes = To::lanes;
  for (int64_t m = 0; m < rows; m += lanes) {
    const int64_t present = std::min(lanes, rows - m);
    int64_t n = 0;
    for (; n + lanes <= columns; n += lanes) {
      typename To::Vector square[lanes] = {};
      for (int64_t i = 0; i < lanes; ++i)
        if (i < present) load(square[i], x + (m + i) * from + n);
      transposeSquare<To, 1>(square);
      for (int64_t i = 0; i < lanes; ++i) store(y + (n + i) * to + m, square[i]);
    }
    for (; n < columns; ++n)
      for (int64_t i = 0; i < lanes; ++i) y[n * to + m + i] = i < present ? x[(m + i) * from + n] : 0;
  }
}

// exp of values that are not above 0.
template <typename To, typename Vector = typename To::Vector>
INLINE void exponentialOf(Vector& x) {
  if constexpr (sizeof(typename To::Value) == 8) {
    typename To::Value values[To::lanes];
    store(values, x);
    for (auto& value : values) value = std::exp(value);
    load(x, values);
  } else {
    exponential<Vector, typename To::Integers>(x);
  }
}

template <typename To, typename T = typename To::Value>
INLINE T sumOfLanes(const typename To::Vector& vector) {
  T sum = 0;
  for (int64_t lane = 0; lane < To::lanes; ++lane) sum += vector[lane];
  return sum;
}

// What does not count gets the weight 0.
template <typename T>
INLINE void hide(const Scores<T>& s, T* row, int64_t r) {
  for (int64_t j = std::min(s.keys, s.first + r); j < s.columns; ++j) row[j] = -std::numeric_limits<T>::infinity();
}

template <typename To, typename T = typename To::Value>
INLINE T largestOf(const T* row, int64_t columns) {
  using Vector = typename To::Vector;
  Vector most, x;
  load(most, row);
  for (int64_t j = To::lanes; j < columns; j += To::lanes) {
    load(x, row + j);
    most = x > most ? x : most;
  }
  T largest = most[0];
  for (int64_t lane = 1; lane < To::lanes; ++lane) largest = std::max(largest, most[lane]);
  return largest;
}

template <typename To, typename T = typename To::Value>
INLINE void exponentialsOf(const Scores<T>& s, T* scores, T* statistics) {
  for (int64_t r = 0; r < s.rows; ++r, scores += s.stride, statistics += 2) {
    hide(s, scores, r);
    const T largest = largestOf<To>(scores, s.columns);
    typename To::Vector sums = {}, x = {};
    for (int64_t j = 0; j < s.columns; j += To::lanes) {
      load(x, scores + j);
      x = (x - largest) * s.scale;
      exponentialOf<To>(x);
      sums += x;
      store(scores + j, x);
    }
    statistics[0] = largest;
    statistics[1] = 1 / sumOfLanes<To>(sums);
  }
}

template <typename To, typename T = typename To::Value>
INLINE void gradientsOf(const Scores<T>& s, T* scores, T* gradients, const T* statistics) {
  for (int64_t r = 0; r < s.rows; ++r, scores += s.stride, gradients += s.stride, statistics += 2) {
    hide(s, scores, r);
    typename To::Vector sums = {}, x = {}, gradient = {};
    for (int64_t j = 0; j < s.columns; j += To::lanes) {
      load(x, scores + j);
      load(gradient, gradients + j);
      x = (x - statistics[0]) * s.scale;
      exponentialOf<To>(x);
      x *= statistics[1];
      sums += x * gradient;
      store(scores + j, x);
    }
    const T mean = sumOfLanes<To>(sums);
    for (int64_t j = 0; j < s.columns; j += To::lanes) {
      load(x, scores + j);
      load(gradient, gradients + j);
      gradient = x * s.scale * (gradient - mean);
      store(gradients + j, gradient);
    }
  }
}

// The functions of one target: plain ones, because what is compiled for more than the oldest processor is not a template.
#define KERNELS(name, attributes, T, size, wide, narrow)                                                            \
  namespace name {                                                                                                 \
  using To = Target<T, size, wide, narrow>;                                                                        \
  attributes void product(const Product<T>& p) { productOf<To>(p); }                                               \
  attributes void transpose(const T* x, int64_t rows, int64_t columns, int64_t from, T* y, int64_t to) {           \
    transposeOf<To>(x, rows, columns, from, y, to);                                                                \
  }                                                                                                                \
  attributes void exponentials(const Scores<T>& s, T* scores, T* statistics) {                                     \
    exponentialsOf<To>(s, scores, statistics);                                                                     \
  }                                                                                                                \
  attributes void gradients(const Scores<T>& s, T* scores, T* gradients, const T* statistics) {                    \
    gradientsOf<To>(s, scores, gradients, statistics);                                                             \
  }                                                                                                                \
  constexpr Kernels<T> all = {To::lanes, product, transpose, exponentials, gradients};                             \
  }

#ifdef __x86_64__
KERNELS(avx512Float, __attribute__((target("avx512f,avx2,fma"))), float, 64, 6, 8)
KERNELS(avx512Double, __attribute__((target("avx512f,avx2,fma"))), double, 64, 6, 8)
KERNELS(avx2Float, __attribute__((target("avx2,fma"))), float, 32, 0, 6)
KERNELS(avx2Double, __attribute__((target("avx2,fma"))), double, 32, 0, 6)
#endif
KERNELS(plainFloat, , float, 16, 0, 6)
KERNELS(plainDouble, , double, 16, 0, 6)

template <typename T>
const Kernels<T>& choose(const Kernels<T>& avx512, const Kernels<T>& avx2, const Kernels<T>& plain) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2;
#endif
  return plain;
}

}  // namespace

#ifdef __x86_64__
#define CHOSEN(suffix) choose(avx512##suffix::all, avx2##suffix::all, plain##suffix::all)
#else
#define CHOSEN(suffix) plain##suffix::all
#endif

template <>
const Kernels<float>& kernels<float>() {
  static const Kernels<float>& chosen = CHOSEN(Float);
  return chosen;
}

template <>
const Kernels<double>& kernels<double>() {
  static const Kernels<double>& chosen = CHOSEN(Double);
  return chosen;
}
