/** What operators are for, and how many operations and bytes they need: the table that a trace is read by. */
import {
  type Argument,
  attention,
  attentionBackward,
  convolution,
  convolutionBackward,
  depthwise,
  headAttention,
  linear,
  product,
  selfAttention,
  shape,
  sumAndProduct,
} from "./operations.ts"

/** In the order of the table. */
export const kinds = {
  products: "matrix products",
  dense: "convolutions, dense",
  depthwise: "convolutions, depthwise",
  attention: "attention",
  norms: "norms, activations, sums",
  words: "word table",
  memory: "copies and fills",
  optimizer: "clip and AdamW",
  loss: "loss",
  calls: "views, allocation",
  autograd: "autograd engine",
  node: "Node: JavaScript, binding",
  other: "other",
} as const satisfies Record<string, string>

export type Kind = keyof typeof kinds

export interface Operator {
  readonly kind: Kind | ((args: readonly Argument[]) => Kind)
  /** Operations, two for a multiply-add. */
  readonly operations?: (args: readonly Argument[]) => number
  /** Bytes that it must read and write, where that is not what its tensors have; they are given. */
  readonly bytes?: (args: readonly Argument[], bytes: number) => number
  /** What it calls is a part of it, copies and sums too. */
  readonly whole?: boolean
}

const FLOAT_BYTES = 4

const productKind = (args: readonly Argument[]): Kind =>
  [0, 1].every((i) => shape(args[i]).length > 2) ? "attention" : "products"

/** As many groups as channels, and more than one. */
const convolutionKind =
  (input: number, groups: number) =>
  (args: readonly Argument[]): Kind =>
    Number(args.at(groups)) > 1 && Number(args.at(groups)) === shape(args[input])[1] ? "depthwise" : "dense"

const times = (factor: number) => (_: readonly Argument[], bytes: number) => factor * bytes

/** Rows of the table, by the gradient or by the ids; the rest of a dense gradient is not needed. */
const rowsOfWords = (args: readonly Argument[]) => {
  const [ids, table] = [shape(args[1]), shape(args[0])]
  return 2 * FLOAT_BYTES * ids.reduce((count, dim) => count * dim, 1) * (table.at(-1) ?? 0)
}

const norms: Operator = { kind: "norms" }
const memory: Operator = { kind: "memory" }
const attentive: Operator = { kind: "attention" }
const words: Operator = { kind: "words", bytes: rowsOfWords, whole: true }
/** The target is read by libtorch's count, and it is not in truth. */
const fills: Operator = { kind: "memory", bytes: times(1 / 2) }
const copies: Operator = { kind: "memory", bytes: times(2 / 3) }
const loss: Operator = { kind: "loss" }

export const operators: Readonly<Record<string, Operator>> = {
  "aten::linear": { kind: "products", operations: linear },
  "aten::matmul": { kind: productKind, operations: product },
  "aten::mm": { kind: "products", operations: product },
  "aten::bmm": { kind: productKind, operations: product },
  "aten::addmm": { kind: "products", operations: sumAndProduct },
  "aten::baddbmm": { kind: "attention", operations: sumAndProduct },

  "aten::conv2d": { kind: convolutionKind(0, 6), operations: convolution },
  "aten::convolution": { kind: convolutionKind(0, -1), operations: convolution },
  "aten::mkldnn_convolution": { kind: convolutionKind(0, -1), operations: convolution },
  "aten::convolution_backward": { kind: convolutionKind(1, -2), operations: convolutionBackward },
  "mobileclip::depthwise_conv2d": { kind: "depthwise", operations: depthwise, whole: true },

  "mobileclip::attention": { kind: "attention", operations: attention, whole: true },
  "mobileclip::self_attention": { kind: "attention", operations: selfAttention, whole: true },
  "aten::scaled_dot_product_attention": { kind: "attention", operations: headAttention, whole: true },
  "aten::_scaled_dot_product_flash_attention_for_cpu_backward": { kind: "attention", operations: attentionBackward },
  "aten::_scaled_dot_product_flash_attention_backward": { kind: "attention", operations: attentionBackward },
  "aten::_scaled_dot_product_efficient_attention_backward": { kind: "attention", operations: attentionBackward },
  "aten::_scaled_dot_product_cudnn_attention_backward": { kind: "attention", operations: attentionBackward },
  "aten::softmax": attentive,
  "aten::_softmax": attentive,
  "aten::_softmax_backward_data": attentive,
  "aten::triu": attentive,

  "mobileclip::norm_sum": norms,
  "mobileclip::gelu": norms,
  "aten::layer_norm": norms,
  "aten::native_layer_norm": norms,
  "aten::native_layer_norm_backward": norms,
  "aten::batch_norm": norms,
  "aten::native_batch_norm": norms,
  "aten::native_batch_norm_backward": norms,
  "aten::cudnn_batch_norm_backward": norms,
  "aten::gelu": norms,
  "aten::gelu_backward": norms,
  "aten::relu": norms,
  "aten::clamp_min": norms,
  "aten::threshold_backward": norms,
  "aten::sigmoid": norms,
  "aten::sigmoid_backward": norms,
  "aten::add": norms,
  "aten::add_": norms,
  "aten::sub": norms,
  "aten::mul": norms,
  "aten::mul_": norms,
  "aten::div": norms,
  "aten::div_": norms,
  "aten::neg": norms,
  "aten::exp": norms,
  "aten::rsqrt": norms,
  "aten::sqrt": norms,
  "aten::mean": norms,
  "aten::sum": norms,
  "aten::linalg_vector_norm": norms,
  "aten::clamp": norms,
  "aten::where": norms,
  "aten::eq": norms,
  "aten::gt": norms,
  "aten::ge": norms,
  "aten::masked_fill_": norms,

  "aten::embedding": words,
  "aten::embedding_backward": {
    ...words,
    bytes: ([gradient]) => 2 * FLOAT_BYTES * shape(gradient).reduce((count, dim) => count * dim, 1),
  },
  "aten::argmax": { kind: "words" },

  "aten::copy_": copies,
  "aten::fill_": fills,
  "aten::zero_": fills,
  "aten::cat": memory,
  "aten::stack": memory,
  "aten::gather": memory,
  "aten::gather_backward": memory,
  "aten::scatter_add_": memory,
  "aten::index_select": memory,
  "aten::slice_backward": memory,
  "aten::arange": memory,

  // Lists of parameters, gradients and two moments: three of the four are written too.
  "mobileclip::adamw_": { kind: "optimizer", bytes: times(7 / 4), whole: true },
  "aten::_foreach_norm": { kind: "optimizer", whole: true },
  "aten::_foreach_mul_": { kind: "optimizer", bytes: times(2), whole: true },

  "aten::log_softmax": loss,
  "aten::_log_softmax": loss,
  "aten::_log_softmax_backward_data": loss,
  "aten::cross_entropy_loss": loss,
  "aten::nll_loss_backward": loss,
  "aten::kl_div": loss,
}

/** They compute nothing: inside another operator they are a part of it. */
export const views: ReadonlySet<string> = new Set([
  ...["aten::_conj", "aten::_reshape_alias", "aten::_to_copy", "aten::_unsafe_view", "aten::alias", "aten::as_strided"],
  ...["aten::as_strided_", "aten::clone", "aten::contiguous", "aten::detach", "aten::empty", "aten::empty_like"],
  ...["aten::empty_strided", "aten::expand", "aten::flatten", "aten::full", "aten::item", "aten::lift_fresh"],
  ...["aten::_local_scalar_dense", "aten::narrow", "aten::new_empty", "aten::new_empty_strided", "aten::new_zeros"],
  ...["aten::numpy_T", "aten::ones", "aten::ones_like", "aten::permute", "aten::reshape", "aten::resize_"],
  ...["aten::resolve_conj", "aten::resolve_neg", "aten::scalar_tensor", "aten::select", "aten::set_data"],
  ...["aten::slice", "aten::split", "aten::split_with_sizes", "aten::squeeze", "aten::t", "aten::to"],
  ...["aten::transpose", "aten::unflatten", "aten::unsqueeze", "aten::view", "aten::zeros", "aten::zeros_like"],
  ...["detach", "detach_"],
])
