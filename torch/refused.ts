/**
 * Operators that `call` refuses because wrong arguments make libtorch itself crash (found by `bench/torch-fuzz.ts`).
 * Everything else checks its arguments.
 */

/** Why an operator is refused ("aten::align_tensors"), or null when it may be called. */
export function refusal(operator: string): string | null {
  const name = operator.replace("aten::", "")
  if (name.startsWith("_") && !allowed.test(name)) return "internal: its public callers make the checks it relies on"
  if (/_backward(_|$)/.test(name)) return "internal: gradients come from backward() and grad()"
  return unchecked.has(name) ? "libtorch does not check its arguments and can crash" : null
}

/** Internal by name, yet the interface of optimizers. */
const allowed = /^_foreach_/

const unchecked = new Set([
  "align_tensors",
  "batch_norm_update_stats",
  "choose_qparams_optimized",
  "native_batch_norm",
  "native_channel_shuffle",
  "quantized_lstm_cell",
  "rrelu_with_noise",
  "rrelu_with_noise_",
  "slow_conv3d",
  "slow_conv3d_forward",
  "thnn_conv2d",
  "to_sparse_bsr",
])
