import { expect, test } from "vitest"
import { float32ToBfloat16 } from "../../core/arrays/half.ts"
import { bytesAsSource } from "../../core/containers/safetensors.ts"
import { TorchFile } from "./torch-file.ts"
import { type TensorToSave, torchBytes } from "./torch-write.ts"
import { readZipDirectory } from "./zip.ts"

const tensors = new Map<string, TensorToSave>([
  ["image_emb", { dtype: "F32", shape: [2, 3], values: Float32Array.of(0, 1, 2, 3, 4, 5) }],
  ["größe", { dtype: "BF16", shape: [4], values: float32ToBfloat16(Float32Array.of(1, -2, 0.5, 0)) }],
  ["none", { dtype: "F32", shape: [0, 7], values: new Float32Array(0) }],
])

test("tensors come back, and lie where torch.save puts them", async () => {
  const source = bytesAsSource("x.pth", torchBytes(tensors))
  const file = await TorchFile.open(source)
  expect([...file.tensors.keys()]).toEqual([...tensors.keys()])
  for (const [name, { dtype, shape, values }] of tensors) {
    expect(file.tensors.get(name)).toMatchObject({ dtype, shape })
    expect(file.read(name)).toEqual(values)
  }
  const entries = [...(await readZipDirectory(source)).values()]
  const files = ["data.pkl", "byteorder", "data/0", "data/1", "data/2", "version"]
  expect(entries.map(({ name }) => name)).toEqual(files.map((name) => `archive/${name}`))
  for (const { dataStart, method } of entries) expect([dataStart % 64, method]).toEqual([0, "stored"])
})
