// Passes over the planes of one channel of a batch: sums, and a result that is linear in two tensors.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "vectors.h"

// Where a channel's planes lie.
struct Planes {
  int64_t count, size, stride;  // stride: values from one plane to the next

  double values() const { return static_cast<double>(count * size); }
};

// Adds up two functions of the values, each given as a vector of x and one of `other`. About a thousand values are
// summed in T, lane by lane, and these sums in double.
template <typename T, typename First, typename Second>
INLINE std::pair<double, double> sumsOf(const Planes& planes, const T* x, const T* other, First first, Second second) {
  using Vector = typename Lanes<T>::Vector;
  constexpr int64_t lanes = Lanes<T>::count, unroll = 4, most = 1024;
  double totals[2] = {};
  Vector sums[2][unroll] = {};
  int64_t pending = 0;
  const auto flush = [&]() INLINED {
    for (int which = 0; which < 2; ++which) {
      for (int u = 0; u < unroll; ++u)
        for (int64_t lane = 0; lane < lanes; ++lane) totals[which] += sums[which][u][lane];
      for (int u = 0; u < unroll; ++u) sums[which][u] = Vector{};
    }
    pending = 0;
  };
  for (int64_t n = 0; n < planes.count; ++n, x += planes.stride, other += planes.stride) {
    int64_t i = 0;
    for (; i + unroll * lanes <= planes.size; i += unroll * lanes) {
      UNROLLED
      for (int u = 0; u < unroll; ++u) {
        Vector a, b;
        std::memcpy(&a, x + i + u * lanes, sizeof a);
        std::memcpy(&b, other + i + u * lanes, sizeof b);
        sums[0][u] += first(a, b);
        sums[1][u] += second(a, b);
      }
      pending += unroll;
      if (pending * lanes >= most) flush();
    }
    for (; i + lanes <= planes.size; i += lanes) {
      Vector a, b;
      std::memcpy(&a, x + i, sizeof a);
      std::memcpy(&b, other + i, sizeof b);
      sums[0][0] += first(a, b);
      sums[1][0] += second(a, b);
      pending += unroll;
    }
    for (; i < planes.size; ++i) {
      totals[0] += first(x[i], other[i]);
      totals[1] += second(x[i], other[i]);
    }
    if (pending * lanes >= most) flush();
  }
  flush();
  return {totals[0], totals[1]};
}

// y = a * left + b * (right - shift) + c; without `left`, its part is left out.
template <typename T>
INLINE void combine(const Planes& planes, const T* left, const T* right, T* y, T a, T b, T shift, T c) {
  using Vector = typename Lanes<T>::Vector;
  constexpr int64_t lanes = Lanes<T>::count;
  for (int64_t n = 0; n < planes.count; ++n) {
    const int64_t start = n * planes.stride;
    int64_t i = start;
    for (; i + lanes <= start + planes.size; i += lanes) {
      Vector value;
      std::memcpy(&value, right + i, sizeof value);
      value = (value - shift) * b + c;
      if (left) {
        Vector other;
        std::memcpy(&other, left + i, sizeof other);
        value += other * a;
      }
      std::memcpy(y + i, &value, sizeof value);
    }
    for (; i < start + planes.size; ++i) y[i] = (right[i] - shift) * b + c + (left ? left[i] * a : 0);
  }
}

struct Moments {
  double mean, variance;  // of the input; the variance is biased
};

template <typename T>
INLINE Moments momentsOf(const Planes& planes, const T* x) {
  const auto none = [](auto a, auto) INLINED { return a - a; };
  const auto value = [](auto a, auto) INLINED { return a; };
  const T mean = static_cast<T>(sumsOf(planes, x, x, value, none).first / planes.values());
  const auto squared = [mean](auto a, auto) INLINED { return (a - mean) * (a - mean); };
  return {mean, static_cast<T>(sumsOf(planes, x, x, squared, none).first / planes.values())};
}

// The sum of a gradient, and that of its products with x - mean.
template <typename T>
INLINE std::pair<double, double> gradientSums(const Planes& planes, const T* gradient, const T* x, T mean) {
  const auto itself = [](auto, auto g) INLINED { return g; };
  return sumsOf(planes, x, gradient, itself, [mean](auto a, auto g) INLINED { return (a - mean) * g; });
}
