// Attention of one head, and its gradients.
//
// L queries, S keys, d channels.
//
//   P = softmax(scale * Q K^T + bias), O = P V
//   dV = P^T dO, dP = dO V^T, dS = scale * P * (dP - rowsum(P * dP)), dQ = dS K, dK = dS^T Q
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "products.h"

// The rows of one head: d values each.
template <typename T>
struct Rows {
  T* values;
  int64_t stride;

  T* row(int64_t i) const { return values + i * stride; }
};

// Sizes of a head, and of the memory that its thread works in.
struct Sizes {
  int64_t queries, keys, width;  // L, S, d
  bool causal;
  int64_t paddedKeys, paddedWidth;  // multiples of the lanes
  int64_t block;                    // queries at a time

  // Where query i sees its first i + 1 keys, a small block leaves more of what no query of it sees uncomputed.
  Sizes(int64_t queries, int64_t keys, int64_t width, bool causal, int64_t lanes)
      : queries(queries), keys(keys), width(width), causal(causal), paddedKeys((keys + lanes - 1) / lanes * lanes),
        paddedWidth((width + lanes - 1) / lanes * lanes), block(std::min<int64_t>(queries, causal ? 16 : 48)) {}

  // Keys that some query of a block sees.
  int64_t seen(int64_t first, int64_t rows) const { return causal ? std::min(keys, first + rows) : keys; }
};

// Memory of one thread, in pieces whose sizes are multiples of a vector's.
template <typename T>
class Memory {
 public:
  explicit Memory(int64_t count) : storage(count + 64 / sizeof(T)) {
    next = storage.data();
    while (reinterpret_cast<uintptr_t>(next) % 64) ++next;
  }

  T* take(int64_t count) {
    T* taken = next;
    next += count;
    return taken;
  }

 private:
  std::vector<T> storage;
  T* next;
};

// [rows, width] -> rows of `padded` values, zeros after the width.
template <typename T>
void pack(const Rows<const T>& x, int64_t rows, int64_t width, T* y, int64_t padded) {
  for (int64_t i = 0; i < rows; ++i, y += padded) {
    std::memcpy(y, x.row(i), width * sizeof(T));
    std::fill(y + width, y + padded, T(0));
  }
}

template <typename T>
void unpack(const T* x, int64_t padded, int64_t rows, int64_t width, const Rows<T>& y) {
  for (int64_t i = 0; i < rows; ++i, x += padded) std::memcpy(y.row(i), x, width * sizeof(T));
}

template <typename T>
T scaleOf(const Sizes& sizes) {
  return static_cast<T>(1 / std::sqrt(static_cast<double>(sizes.width)));
}

template <typename T>
Scores<T> scoresOf(const Sizes& s, int64_t first, int64_t rows, int64_t lanes) {
  const int64_t seen = s.seen(first, rows), columns = (seen + lanes - 1) / lanes * lanes;
  return {rows, columns, s.paddedKeys, s.causal ? first + 1 : s.keys, s.keys, scaleOf<T>(s)};
}

// A bias, as it is added to scores that are not scaled yet. What is finite stays so: where all keys of a picture are
// hidden by the lowest number, all count alike.
template <typename T>
T unscaled(T bias, T scale) {
  const T most = std::numeric_limits<T>::max();
  return std::abs(bias) <= most ? std::max(-most, std::min(most, bias / scale)) : bias;
}

// Adds a picture's bias, a value for each key.
template <typename T>
void addBias(const Sizes& s, const Scores<T>& block, const T* bias, T* scores) {
  if (!bias) return;
  for (int64_t j = 0; j < s.keys; ++j) {
    const T added = unscaled(bias[j], block.scale);
    for (int64_t i = 0; i < block.rows; ++i) scores[i * s.paddedKeys + j] += added;
  }
}

// One head, forward.
template <typename T>
class Forward {
 public:
  Forward(const Sizes& sizes, const Kernels<T>& use)
      : s(sizes), use(use), memory(2 * s.paddedWidth * s.paddedKeys + s.block * (s.paddedKeys + s.paddedWidth)),
        keys(memory.take(s.paddedWidth * s.paddedKeys)), values(memory.take(s.paddedWidth * s.paddedKeys)),
        scores(memory.take(s.block * s.paddedKeys)), mixed(memory.take(s.block * s.paddedWidth)) {}

  // statistics [L, 2]; bias [S] or null
  void head(Rows<const T> q, Rows<const T> k, Rows<const T> v, const T* bias, Rows<T> y, T* statistics) {
    use.transpose(k.values, s.keys, s.width, k.stride, keys, s.paddedKeys);
    pack(v, s.keys, s.width, values, s.paddedWidth);
    for (int64_t first = 0; first < s.queries; first += s.block) {
      const int64_t rows = std::min(s.block, s.queries - first);
      T* own = statistics + 2 * first;
      const Scores<T> block = scoresOf<T>(s, first, rows, use.lanes);
      use.product({rows, block.columns, s.width, q.row(first), q.stride, 1, keys, s.paddedKeys, scores, s.paddedKeys,
                   false});
      addBias(s, block, bias, scores);
      use.exponentials(block, scores, own);
      use.product({rows, s.paddedWidth, s.seen(first, rows), scores, s.paddedKeys, 1, values, s.paddedWidth, mixed,
                   s.paddedWidth, false});
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t c = 0; c < s.width; ++c) y.row(first + i)[c] = mixed[i * s.paddedWidth + c] * own[2 * i + 1];
    }
  }

 private:
  const Sizes s;
  const Kernels<T>& use;
  Memory<T> memory;
  T *keys, *values, *scores, *mixed;
};

// One head, backward.
template <typename T>
class Backward {
 public:
  Backward(const Sizes& sizes, const Kernels<T>& use)
      : s(sizes), use(use),
        memory(5 * s.paddedWidth * s.paddedKeys + s.block * (2 * s.paddedKeys + 3 * s.paddedWidth)),
        keysAcross(memory.take(s.paddedWidth * s.paddedKeys)), valuesAcross(memory.take(s.paddedWidth * s.paddedKeys)),
        keys(memory.take(s.paddedWidth * s.paddedKeys)), ofKeys(memory.take(s.paddedWidth * s.paddedKeys)),
        ofValues(memory.take(s.paddedWidth * s.paddedKeys)), weights(memory.take(s.block * s.paddedKeys)),
        ofWeights(memory.take(s.block * s.paddedKeys)), queries(memory.take(s.block * s.paddedWidth)),
        gradients(memory.take(s.block * s.paddedWidth)), ofQueries(memory.take(s.block * s.paddedWidth)) {}

  void head(Rows<const T> q, Rows<const T> k, Rows<const T> v, const T* bias, Rows<const T> gradient,
            const T* statistics, Rows<T> dq, Rows<T> dk, Rows<T> dv) {
    use.transpose(k.values, s.keys, s.width, k.stride, keysAcross, s.paddedKeys);
    use.transpose(v.values, s.keys, s.width, v.stride, valuesAcross, s.paddedKeys);
    pack(k, s.keys, s.width, keys, s.paddedWidth);
    std::fill_n(ofKeys, s.keys * s.paddedWidth, T(0));
    std::fill_n(ofValues, s.keys * s.paddedWidth, T(0));
    for (int64_t first = 0; first < s.queries; first += s.block) {
      const int64_t rows = std::min(s.block, s.queries - first);
      pack({q.row(first), q.stride}, rows, s.width, queries, s.paddedWidth);
      pack({gradient.row(first), gradient.stride}, rows, s.width, gradients, s.paddedWidth);
      block(first, rows, bias, statistics + 2 * first);
      unpack(ofQueries, s.paddedWidth, rows, s.width, {dq.row(first), dq.stride});
    }
    unpack(ofKeys, s.paddedWidth, s.keys, s.width, dk);
    unpack(ofValues, s.paddedWidth, s.keys, s.width, dv);
  }

 private:
  void block(int64_t first, int64_t rows, const T* bias, const T* statistics) {
    const Scores<T> scores = scoresOf<T>(s, first, rows, use.lanes);
    const int64_t seen = s.seen(first, rows), wide = s.paddedWidth, across = s.paddedKeys;
    use.product({rows, scores.columns, s.width, queries, wide, 1, keysAcross, across, weights, across, false});
    use.product({rows, scores.columns, s.width, gradients, wide, 1, valuesAcross, across, ofWeights, across, false});
    addBias(s, scores, bias, weights);
    use.gradients(scores, weights, ofWeights, statistics);
    use.product({seen, wide, rows, weights, 1, across, gradients, wide, ofValues, wide, true});
    use.product({seen, wide, rows, ofWeights, 1, across, queries, wide, ofKeys, wide, true});
    use.product({rows, wide, seen, ofWeights, across, 1, keys, wide, ofQueries, wide, false});
  }

  const Sizes s;
  const Kernels<T>& use;
  Memory<T> memory;
  T *keysAcross, *valuesAcross, *keys, *ofKeys, *ofValues, *weights, *ofWeights, *queries, *gradients, *ofQueries;
};
