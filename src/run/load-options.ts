/** How a model is run. A file of its own: an application sees these types, and none of ONNX Runtime's, which name a browser's. */
export const providers = ["cpu", "cuda", "coreml", "dml", "webgpu"] as const

export interface LoadOptions {
  /** Processor threads of each tower; default: as many as this process may use. ONNX Runtime itself looks at neither cgroups nor OMP_NUM_THREADS. */
  readonly threads?: number
  /** Where to compute; default: the processor. What else there is depends on the build of ONNX Runtime. */
  readonly provider?: (typeof providers)[number]
}
