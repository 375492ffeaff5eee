/** Files of models for other runtimes, by their names, so that whoever brings one is told what it is. */

const kinds: readonly (readonly [pattern: RegExp, runtime: string])[] = [
  [/\.(tflite|lite)$/i, "TensorFlow Lite"],
  [/\.(mlpackage|mlmodel|mlmodelc)$/i, "Core ML"],
  [/\.(gguf|ggml)$/i, "llama.cpp"],
  [/\.(engine|plan|trt)$/i, "TensorRT"],
  [/\.pte$/i, "ExecuTorch"],
  [/\.ptl$/i, "PyTorch Mobile"],
  [/\.rknn$/i, "Rockchip's NPU"],
  [/\.armnn$/i, "Arm NN"],
  [/\.mnn$/i, "MNN"],
  [/\.(h5|keras|pb)$/i, "TensorFlow"],
  [/\.msgpack$/i, "Flax"],
]

/** What is known of a file that another runtime reads. */
interface ForeignFile {
  readonly name: string
  readonly runtime: string
}

/** The first of these files, or of these packages, that is another runtime's; null where none is. */
export function foreignFile(names: readonly string[]): ForeignFile | null {
  for (const name of names) {
    const runtime = kinds.find(([pattern]) => pattern.test(name))?.[1]
    if (runtime !== undefined) return { name, runtime }
    // Any program may write XML; OpenVINO keeps its weights beside it.
    if (name.endsWith(".xml") && names.includes(name.replace(/xml$/, "bin"))) return { name, runtime: "OpenVINO" }
  }
  return null
}
