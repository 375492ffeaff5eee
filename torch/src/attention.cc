// Scaled dot-product attention with its gradients, on the processor: mobileclip::attention.
//
// libtorch 1.13 composes it of batched products, which without MKL are one call for each matrix, of copies by head, and
// of scores that are kept for the way back. Here a head is one thread's: its keys and values are packed once, some
// queries at a time are scored, weighed and summed while everything is in the cache, and the way back computes the
// weights again from the largest score and the sum of each row.
// Sources: https://arxiv.org/abs/1706.03762 (attention), https://arxiv.org/abs/2205.14135 (scores that are not kept)
//
// N batch, L queries, S keys, D channels of all heads, d of one.
//
//   P = softmax(scale * Q K^T + bias), O = P V
//   dV = P^T dO, dP = dO V^T, dS = scale * P * (dP - rowsum(P * dP)), dQ = dS K, dK = dS^T Q
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "products.h"
#include "vectors.h"

namespace {

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
      use.product({rows, block.columns, s.width, q.row(first), q.stride, 1, keys, s.paddedKeys, scores, s.paddedKeys, false});
      addBias(s, block, bias, scores);
      use.exponentials(block, scores, own);
      use.product({rows, s.paddedWidth, s.seen(first, rows), scores, s.paddedKeys, 1, values, s.paddedWidth, mixed, s.paddedWidth, false});
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

// Head h of picture n in [N, L, D].
template <typename T, typename Value = std::remove_const_t<T>>
Rows<T> rowsOf(const at::Tensor& x, int64_t n, int64_t h, int64_t width) {
  return {x.data_ptr<Value>() + n * x.stride(0) + h * width, x.stride(1)};
}

// Of picture n in [N, S]; null without a bias.
template <typename T>
const T* biasOf(const at::Tensor& bias, int64_t n) {
  return bias.defined() ? bias.data_ptr<T>() + n * bias.size(1) : nullptr;
}

// Calls work(pass, n, h) for every head; `pass` is the thread's Forward or Backward.
template <template <typename> class Pass, typename Work>
void forEveryHead(const at::Tensor& q, const at::Tensor& k, int64_t heads, bool causal, Work work) {
  inDtype(q.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    const Kernels<T>& use = kernels<T>();
    const Sizes sizes(q.size(1), k.size(1), q.size(2) / heads, causal, use.lanes);
    // Less than some 100,000 products are not worth a thread.
    const int64_t grain = 1 + 100000 / (sizes.queries * sizes.keys * sizes.width);
    at::parallel_for(0, q.size(0) * heads, grain, [&](int64_t begin, int64_t end) {
      Pass<T> pass(sizes, use);
      for (int64_t i = begin; i < end; ++i) work(pass, i / heads, i % heads, zero);
    });
  });
}

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads) {
  for (const at::Tensor& x : {q, k, v}) {
    TORCH_CHECK(x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble),
                "attention: queries, keys and values must be float32 or float64 on the processor, found ",
                x.scalar_type(), " on ", x.device());
    TORCH_CHECK(x.scalar_type() == q.scalar_type(), "attention: queries, keys and values must have one dtype, found ",
                q.scalar_type(), " and ", x.scalar_type());
    TORCH_CHECK(x.dim() == 3 && x.size(0) == q.size(0) && x.size(2) == q.size(2),
                "attention: expected queries [N, L, D], keys and values [N, S, D], found ", q.sizes(), ", ", k.sizes(),
                " and ", v.sizes());
  }
  TORCH_CHECK(k.size(1) == v.size(1), "attention: expected as many keys as values, found ", k.size(1), " and ",
              v.size(1));
  TORCH_CHECK(k.size(1) > 0, "attention: expected at least one key");
  TORCH_CHECK(heads > 0 && q.size(2) > 0 && q.size(2) % heads == 0, "attention: ", heads,
              " heads do not divide a width of ", q.size(2));
}

at::Tensor checkedBias(const c10::optional<at::Tensor>& given, const at::Tensor& k, bool causal) {
  if (!given) return {};
  TORCH_CHECK(given->dim() == 2 && given->size(0) == k.size(0) && given->size(1) == k.size(1) &&
                  given->scalar_type() == k.scalar_type() && given->device() == k.device(),
              "attention: expected a bias [N, S] like the keys ", k.sizes(), ", found ", given->scalar_type(), " ",
              given->sizes());
  TORCH_CHECK(!causal, "attention: either causal, or with a bias");
  TORCH_CHECK(!given->requires_grad(), "attention: a bias gets no gradient");
  return given->contiguous();
}

// Values of a row lie side by side; rows may be those of a wider matrix.
at::Tensor inRows(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& values, int64_t heads, bool causal,
                            const c10::optional<at::Tensor>& given) {
    check(queries, keys, values, heads);
    const at::Tensor bias = checkedBias(given, keys, causal);
    const at::Tensor q = inRows(queries), k = inRows(keys), v = inRows(values);
    const int64_t length = q.size(1), width = q.size(2) / heads;
    const at::Tensor y = at::empty(q.sizes(), q.options());
    const at::Tensor statistics = at::empty({q.size(0), heads, length, 2}, q.options());
    if (y.numel() > 0)
      forEveryHead<Forward>(q, k, heads, causal, [&](auto& pass, int64_t n, int64_t h, auto zero) {
        using T = decltype(zero);
        pass.head(rowsOf<const T>(q, n, h, width), rowsOf<const T>(k, n, h, width), rowsOf<const T>(v, n, h, width),
                  biasOf<T>(bias, n), rowsOf<T>(y, n, h, width), statistics.data_ptr<T>() + (n * heads + h) * length * 2);
      });
    context->save_for_backward({q, k, v, statistics, bias});
    context->saved_data["causal"] = causal;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list given) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "attention: second derivatives are not implemented");
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &statistics = saved[3], &bias = saved[4];
    const at::Tensor gradient = inRows(given[0]);
    const int64_t heads = statistics.size(1), length = q.size(1), width = q.size(2) / heads;
    const at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()),
                     dv = at::empty(v.sizes(), v.options());
    if (dq.numel() == 0) return {dq, dk.zero_(), dv.zero_(), at::Tensor(), at::Tensor(), at::Tensor()};
    forEveryHead<Backward>(q, k, heads, context->saved_data["causal"].toBool(),
                           [&](auto& pass, int64_t n, int64_t h, auto zero) {
      using T = decltype(zero);
      pass.head(rowsOf<const T>(q, n, h, width), rowsOf<const T>(k, n, h, width), rowsOf<const T>(v, n, h, width),
                biasOf<T>(bias, n), rowsOf<const T>(gradient, n, h, width), statistics.data_ptr<T>() + (n * heads + h) * length * 2,
                rowsOf<T>(dq, n, h, width), rowsOf<T>(dk, n, h, width), rowsOf<T>(dv, n, h, width));
    });
    return {dq, dk, dv, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// q [N, L, D], k and v [N, S, D], bias [N, S] -> [N, L, D]
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads, bool causal,
                     const c10::optional<at::Tensor>& bias) {
  return Attention::apply(q, k, v, heads, causal, bias);
}

TORCH_LIBRARY_FRAGMENT(mobileclip, library) {
  library.def("attention(Tensor q, Tensor k, Tensor v, int heads, bool causal, Tensor? bias=None) -> Tensor", attention);
}

}  // namespace
