import { expect, test } from "vitest"
import { blasText } from "../../torch/blas.ts"
import * as torch from "../../torch/index.ts"
import { torchAddon } from "../../torch/paths.ts"
import { bfloat16Text, processorFeatures } from "../host/processor-features.ts"
import { builtAddon } from "../native/addon.ts"
import { libtorchInUse, modelsRunOn } from "./computing.ts"

const kernels = `matrix products on the processor: ${blasText(builtAddon(torchAddon)!.file)}; ${bfloat16Text(processorFeatures())}`

test("a process that trains says which libtorch, device, threads and kernels, with the reason for them", () => {
  const text = libtorchInUse(torch.version(), { device: "cpu", threads: 2 })
  const [first, ...others] = text.split("; ")
  expect(others).toEqual(["device cpu, 2 processor threads", ...kernels.split("; ")])
  const where = process.platform === "linux" ? / \(\/\S+\/libtorch_cpu\.\S+\)/ : /( \(.*\))?/
  expect(first).toMatch(RegExp(`^libtorch ${torch.version().replace(/[.+]/g, "\\$&")}${where.source}$`))
  expect(libtorchInUse("1", { device: "cuda", threads: 1 })).toContain("; device cuda, 1 processor thread; ")
})

test("data generation says which runtime its models are for", () => {
  expect(modelsRunOn({})).toBe("models run on ONNX Runtime; device cpu")
  expect(modelsRunOn({ runtime: "onnxruntime", device: "cuda" })).toBe("models run on ONNX Runtime; device cuda")
  expect(modelsRunOn({ runtime: "libtorch" })).toBe(`models run on libtorch (${kernels}); device cpu`)
  expect(modelsRunOn({ dtype: "bf16" })).toBe(modelsRunOn({ runtime: "libtorch" }))
  expect(modelsRunOn({ dtype: "auto" })).toBe(
    `models run on ONNX Runtime, or in bfloat16 on libtorch (${kernels}); device cpu`,
  )
  expect(modelsRunOn({ device: "cuda" })).toBe(
    `exported models run on ONNX Runtime, checkpoints on libtorch (${kernels}); device cuda`,
  )
})
