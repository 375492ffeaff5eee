import { expect, test } from "vitest"
import { foreignFile } from "./foreign-files.ts"

test.each([
  [["config.json", "image.tflite"], "image.tflite", "TensorFlow Lite"],
  [["clip.mlpackage"], "clip.mlpackage", "Core ML"],
  [["model.xml", "model.bin"], "model.xml", "OpenVINO"],
  [["clip-Q8.GGUF"], "clip-Q8.GGUF", "llama.cpp"],
])("%j", (names, name, runtime) => {
  expect(foreignFile(names)).toEqual({ name, runtime })
})

test("weights and other files are nobody's", () => {
  expect(foreignFile(["model.safetensors", "pytorch_model.bin", "notes.xml", "onnx", "a.pt"])).toBe(null)
})
