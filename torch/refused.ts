/**
 * Operators that `call` refuses because libtorch itself crashes on wrong arguments to them. The families are those in
 * which `bench/torch-fuzz.ts` found crashes (libtorch 1.13 and 2.13); nothing that trains or runs a model is among them.
 */

/** Why an operator is refused ("aten::align_tensors"), or null when it may be called. */
export function refusal(operator: string): string | null {
  const name = operator.replace("aten::", "")
  if (unchecked.has(name)) return "libtorch does not check its arguments and can crash"
  if (name.startsWith("from_file")) return "it creates files, and a file that shrinks later ends the process"
  if (name.startsWith("_") && !name.startsWith("_foreach_")) return "internal: its public callers make the checks"
  if (/^(lstm|gru|rnn)(_|$)/.test(name)) return "libtorch does not check its lists of weights and can crash"
  if (/^(cudnn|miopen|mps)_/.test(name)) return "internal: the public operators choose the backend"
  if (/_backward(_|$)/.test(name)) return "internal: gradients come from backward() and grad()"
  if (/sparse|mkldnn|quant|fbgemm/.test(name)) return "only dense tensors of the listed dtypes are supported"
  return null
}

/** Public by name, without checks: null pointers at empty lists, divisions by zero at empty tensors. */
const unchecked = new Set([
  "align_tensors",
  "batch_norm_update_stats",
  "choose_qparams_optimized",
  "embedding_bag",
  "gradient",
  "histogramdd",
  "lu_unpack",
  "max_unpool2d",
  "max_unpool3d",
  "native_batch_norm",
  "native_channel_shuffle",
  "pixel_shuffle",
  "range",
  "rrelu_with_noise",
  "rrelu_with_noise_",
  "slow_conv3d",
  "slow_conv3d_forward",
  "thnn_conv2d",
])
