// Scaled dot-product attention with its gradients, on the processor: mobileclip::attention.
//
// libtorch 1.13 composes it of batched products, which without MKL are one call for each matrix, of copies by head, and
// of scores that are kept for the way back. Here a head is one thread's: its keys and values are packed once, some
// queries at a time are scored, weighed and summed while everything is in the cache, and the way back computes the
// weights again from the largest score and the sum of each row.
// Sources: https://arxiv.org/abs/1706.03762 (attention), https://arxiv.org/abs/2205.14135 (scores that are not kept)
//
// N batch, L queries, S keys, D channels of all heads.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>

#include "attention-head.h"
#include "products.h"
#include "vectors.h"

namespace {

// Head h of picture n in [N, L, D].
template <typename T, typename Value = std::remove_const_t<T>>
Rows<T> rowsOf(const at::Tensor& x, int64_t n, int64_t h, int64_t width) {
  return {x.data_ptr<Value>() + n * x.stride(0) + h * width, x.stride(1)};
}

// The bias of picture n in [N, S]; null without one.
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

// Results of a pass forward: the output [N, L, D], and for each row of scores its largest and one over its sum,
// [N, heads, L, 2].
struct Mixed {
  at::Tensor output, statistics;
};

Mixed mix(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads, bool causal,
          const at::Tensor& bias) {
  const int64_t length = q.size(1), width = q.size(2) / heads;
  const at::Tensor y = at::empty(q.sizes(), q.options());
  const at::Tensor statistics = at::empty({q.size(0), heads, length, 2}, q.options());
  if (y.numel() > 0)
    forEveryHead<Forward>(q, k, heads, causal, [&](auto& pass, int64_t n, int64_t h, auto zero) {
      using T = decltype(zero);
      pass.head(rowsOf<const T>(q, n, h, width), rowsOf<const T>(k, n, h, width), rowsOf<const T>(v, n, h, width),
                biasOf<T>(bias, n), rowsOf<T>(y, n, h, width), statistics.data_ptr<T>() + (n * heads + h) * length * 2);
    });
  return {y, statistics};
}

using Three = std::array<at::Tensor, 3>;

// Writes the gradients of queries, keys and values.
void gradientsOf(const Three& inputs, const at::Tensor& statistics, const at::Tensor& bias, bool causal,
                 const at::Tensor& given, const Three& results) {
  const auto& [q, k, v] = inputs;
  const auto& [dq, dk, dv] = results;
  const at::Tensor gradient = inRows(given);
  const int64_t heads = statistics.size(1), length = q.size(1), width = q.size(2) / heads;
  if (dq.numel() == 0) {
    dk.zero_();
    dv.zero_();
    return;
  }
  forEveryHead<Backward>(q, k, heads, causal, [&](auto& pass, int64_t n, int64_t h, auto zero) {
    using T = decltype(zero);
    pass.head(rowsOf<const T>(q, n, h, width), rowsOf<const T>(k, n, h, width), rowsOf<const T>(v, n, h, width),
              biasOf<T>(bias, n), rowsOf<const T>(gradient, n, h, width),
              statistics.data_ptr<T>() + (n * heads + h) * length * 2, rowsOf<T>(dq, n, h, width),
              rowsOf<T>(dk, n, h, width), rowsOf<T>(dv, n, h, width));
  });
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void refuseSecondDerivatives() { TORCH_CHECK(!at::GradMode::is_enabled(), "attention: second derivatives are not implemented"); }

struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& values, int64_t heads, bool causal,
                            const c10::optional<at::Tensor>& given) {
    check(queries, keys, values, heads);
    const at::Tensor bias = checkedBias(given, keys, causal);
    const at::Tensor q = inRows(queries), k = inRows(keys), v = inRows(values);
    const auto [y, statistics] = mix(q, k, v, heads, causal, bias);
    context->save_for_backward({q, k, v, statistics, bias});
    context->saved_data["causal"] = causal;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list given) {
    refuseSecondDerivatives();
    const variable_list saved = context->get_saved_variables();
    const Three inputs = {saved[0], saved[1], saved[2]};
    Three results;
    for (size_t i = 0; i < 3; ++i) results[i] = at::empty(inputs[i].sizes(), inputs[i].options());
    gradientsOf(inputs, saved[3], saved[4], context->saved_data["causal"].toBool(), given[0], results);
    return {results[0], results[1], results[2], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

Three thirdsOf(const at::Tensor& x) {
  const int64_t width = x.size(2) / 3;
  return {x.narrow(2, 0, width), x.narrow(2, width, width), x.narrow(2, 2 * width, width)};
}

// The same of one matrix: its gradient is written as one.
struct SelfAttention : torch::autograd::Function<SelfAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t heads, bool causal) {
    TORCH_CHECK(x.dim() == 3 && x.size(2) % 3 == 0,
                "attention: expected queries, keys and values side by side, [N, L, 3D], found ", x.sizes());
    const at::Tensor rows = inRows(x);
    const auto [q, k, v] = thirdsOf(rows);
    check(q, k, v, heads);
    const auto [y, statistics] = mix(q, k, v, heads, causal, {});
    context->save_for_backward({rows, statistics});
    context->saved_data["causal"] = causal;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list given) {
    refuseSecondDerivatives();
    const variable_list saved = context->get_saved_variables();
    const at::Tensor gradient = at::empty(saved[0].sizes(), saved[0].options());
    gradientsOf(thirdsOf(saved[0]), saved[1], {}, context->saved_data["causal"].toBool(), given[0],
                thirdsOf(gradient));
    return {gradient, at::Tensor(), at::Tensor()};
  }
};

// q [N, L, D], k and v [N, S, D], bias [N, S] -> [N, L, D]
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t heads, bool causal,
                     const c10::optional<at::Tensor>& bias) {
  return Attention::apply(q, k, v, heads, causal, bias);
}

// [N, L, 3D] -> [N, L, D]
at::Tensor selfAttention(const at::Tensor& x, int64_t heads, bool causal) {
  return SelfAttention::apply(x, heads, causal);
}

TORCH_LIBRARY_FRAGMENT(mobileclip, library) {
  library.def("attention(Tensor q, Tensor k, Tensor v, int heads, bool causal, Tensor? bias=None) -> Tensor",
              attention);
  library.def("self_attention(Tensor x, int heads, bool causal) -> Tensor", selfAttention);
}

}  // namespace
