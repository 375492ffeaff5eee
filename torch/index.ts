/// <reference lib="esnext.disposable" preserve="true" />
/** libtorch for Node: tensors, any ATen operator, gradients. */
export { type AdamWSettings, type AdamWTensors, adamW } from "./adamw.ts"
export { attention, selfAttention } from "./attention.ts"
export {
  autocast,
  type CudaOptions,
  devices,
  generatorState,
  grad,
  hasAutocast,
  manualSeed,
  memory,
  noGrad,
  onWarning,
  releaseMemory,
  setCudaOptions,
  setGeneratorState,
  setThreads,
  synchronize,
  threads,
  version,
  withoutTf32,
} from "./context.ts"
export { arange, empty, full, ones, rand, randn, type TensorOptions, tensor, zeros } from "./create.ts"
export * as distributed from "./distributed.ts"
export {
  type Attention,
  type BatchNorm,
  batchNorm,
  cat,
  conv2d,
  crossEntropy,
  depthwiseConv2d,
  embedding,
  gelu,
  layerNorm,
  linear,
  scaledDotProductAttention,
  stack,
  where,
} from "./functional.ts"
export { Graph, graphsAvailable } from "./graph.ts"
export type { Memory, TraceRow } from "./native.ts"
export { addNorms, type NormSettings, type NormTerm } from "./norms.ts"
export { call, hasOperator, operator, operatorNames, schemaOf } from "./operator.ts"
export { keep, scope } from "./scope.ts"
export { type Device, type DType, Tensor, type TensorData } from "./tensor.ts"
export { region, trace } from "./trace.ts"
