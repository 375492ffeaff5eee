import { expect, test } from "vitest"
import { main } from "../main.ts"

async function models(...argv: string[]) {
  let [out, err] = ["", ""]
  const code = await main(["models", ...argv], undefined, {
    out: (text) => (out += text),
    err: (text) => (err += text),
  })
  return { code, out, err }
}

const rowsOf = (out: string) => out.trimEnd().split("\n\n")[0]!.split("\n")
const data = async (...argv: string[]) => JSON.parse((await models(...argv, "--json")).out)

test("the table: a line for each member, no line longer than 120, numbers on the right, footnotes", async () => {
  const { code, out, err } = await models()
  expect({ code, err }).toEqual({ code: 0, err: "" })
  const [title, ...rows] = rowsOf(out)
  expect(title).toMatch(/^model +px +dim +img M +txt M +img G +txt G +fp32 MB +fp16 MB +licence +IN-1k +avg/)
  expect(Math.max(...[title!, ...rows].map((line) => line.length))).toBeLessThanOrEqual(120)
  const s0 = rows.find((row) => row.startsWith("mobileclip2-s0 "))!
  expect(s0.split(/ +/)).toEqual([
    ...["mobileclip2-s0", "256", "512", "11.4", "63.4", "2.38", "2.73", "299", "150"],
    ...["research", "only", "71.5", "59.7", "1.5", "3.3"],
  ])
  expect(new Set(rows.map((row) => row.length)).size).toBe(1)
  expect(out).toMatch(/^ {2}MobileCLIP2-S0 +the smallest of MobileCLIP2: begin with it$/m)
  expect(out).toMatch(/^mobileclip2-s0: the README lists the text tower of MobileCLIP-S0 \(42\.4 M, 1\.6 ms\)/m)
})

test("chosen columns, sorted up and down; members without the figure come last", async () => {
  const column = async (sort: string) => {
    const [title, ...rows] = rowsOf((await models("--columns", "name,imagenet", "--sort", sort)).out)
    expect(title).toMatch(/^model +IN-1k$/)
    return rows.map((row) => row.split(/ +/)[1]!)
  }
  const [up, down] = [await column("imagenet"), await column("-imagenet")]
  const published = up.filter((cell) => cell !== "-").map(Number)
  expect(published.length).toBe(21)
  expect(published).toEqual(published.toSorted((a, b) => a - b))
  expect(up.slice(21)).toEqual(up.slice(21).map(() => "-"))
  expect(down.map(Number)).toEqual([...published.toReversed(), ...up.slice(21).map(Number)])
  expect((await data("--sort", "name")).map(({ name }: { name: string }) => name)[0]).toMatch(
    /^mobileclip-b|mobileclip-s0/,
  )
})

test("CLIP's models: the best weights' accuracies, a note on the others, and all of them in one member's figures", async () => {
  const { out } = await models()
  const row = out.split("\n").find((line) => line.startsWith("vit-b-32-256 "))!
  expect(row.split(/ +/)).toEqual([
    ...["vit-b-32-256", "256", "512", "87.9", "63.4", "5.33", "2.73", "605", "303"],
    ...["commercial", "too", "72.8", "60.9", "-", "-"],
  ])
  expect(out).toMatch(/^vit-b-32: accuracies with the weights of DataComp; LAION-2B 66\.6 and 56\.9$/m)
  const one = (await models("ViT-B-32")).out
  expect(one).toMatch(/^released as +ViT-B-32-datacomp, ViT-B-32-laion2b$/m)
  expect(
    one.match(/^ImageNet-1k +\S+ % zero-shot top-1 \(published by open_clip, weights of (DataComp|LAION-2B)\)$/gm),
  ).toHaveLength(2)
})

test("--free lists the weights that products may use, and no others", async () => {
  const { code, out } = await models("--free")
  expect(code).toBe(0)
  const rows = rowsOf(out)
  expect(rows[0]).toMatch(/^name +repository +licence +fp32 MB +IN-1k +avg$/)
  expect(out).toMatch(/^ViT-B-32-laion2b +laion\/CLIP-ViT-B-32-laion2B-s34B-b79K +MIT License +605 +66\.6 +56\.9$/m)
  expect(rows.join()).not.toMatch(/apple|MobileCLIP/i)
  const free = await data("--free")
  expect(free).toHaveLength(rows.length - 1)
  for (const { license, terms } of free) expect([license, terms.commercial]).toEqual([license, true])
  expect(free.map(({ license }: { license: string }) => license)).not.toContain("apple-amlr")
  expect(await models("--free", "vit-b-32")).toMatchObject({ code: 2, out: "" })
})

test("JSON has everything in single units", async () => {
  const members = await data()
  expect(members.find(({ name }: { name: string }) => name === "mobileclip2-s0")).toMatchObject({
    image: { name: "mci0", parameters: { train: 11_406_976, fused: 11_357_504 }, multiplyAdds: 2_376_761_344 },
    embedDim: 512,
    licenses: ["research only"],
    recommendedFor: "the smallest of MobileCLIP2: begin with it",
    megabytes: { fp32: 4 * (11.357504 + 63.428096), fp16: 2 * (11.357504 + 63.428096) },
    published: { latency: { image: 1.5, text: 3.3, source: "card" } },
  })
})

test("one member in full, however its name is written", async () => {
  const { out } = await models("MobileCLIP2_S0")
  expect(out).toMatch(/^mobileclip2-s0\n/)
  expect(out).toMatch(/parameters in training +11,406,976 +63,428,096\n/)
  expect(out).toMatch(/preprocessing +shorter side to 256 \(bilinear\), center crop, mean 0 0 0, std 1 1 1\n/)
  expect(out).toMatch(
    /weights +299 MB in fp32, 150 MB in fp16, converted\nlicence +of the released weights: research only\n/,
  )
  expect(out).toMatch(/38 datasets +59\.673 %/)
  expect(await data("apple/MobileCLIP2-S0-OpenCLIP")).toMatchObject({ name: "mobileclip2-s0", imageSize: 256 })
})

test("layer by layer: rows add up to the totals, in both forms", async () => {
  const { name, towers } = await data("--layers", "mobileclip2-s0")
  expect(name).toBe("mobileclip2-s0")
  expect(towers.map(({ tower }: { tower: string }) => tower)).toEqual(["image", "text"])
  for (const { layers, ...total } of towers) {
    for (const key of ["parameters", "multiplyAdds", "attentionMultiplyAdds", "activationBytes"]) {
      const sum = layers.reduce((sum: number, layer: Record<string, number>) => sum + layer[key]!, 0)
      expect(sum).toBe(total[key])
    }
  }
  expect(towers[0].layers[0]).toEqual({
    path: "image.stem.0",
    operations: ["conv2d", "gelu"],
    shape: [1, 64, 128, 128],
    convolution: { kernel: [3, 3], stride: 2, groups: 1 },
    parameters: 64 * 27 + 64,
    multiplyAdds: 64 * 128 * 128 * 27,
    attentionMultiplyAdds: 0,
    activationBytes: 2 * 64 * 128 * 128 * 4,
  })
  const [train] = (await data("--layers", "mobileclip2-s0", "--tower", "image", "--form", "train")).towers
  expect(train).toMatchObject({ tower: "image", form: "train", parameters: 11_406_976 })
  expect(train.layers[0].path).toBe("image.stem.0.convKxk.0.conv")
})

test("layers as a table; --depth adds them up without a loss", async () => {
  const { out } = await models("--layers=mobileclip2-s0", "--tower=image")
  expect(out).toMatch(/^image tower mci0, fused, batch 1\npath +operations +output +kernel +params +MACs +attention/)
  expect(out).toMatch(/^image\.stem\.1 +conv2d gelu +64 x 64 x 64 {2}3x3 \/2 g64 +640 +2\.36M +0 +2,048 +0\.1%$/m)
  const summed = await models("--layers=mobileclip2-s0", "--tower=image", "--depth=1")
  expect(summed.out).toMatch(/^image\.stages .+ 10\.7M +2\.33G /m)
  const totals = [out, summed.out].map((text) =>
    text
      .trimEnd()
      .split("\n")
      .at(-1)!
      .replace(/\d+ rows/, ""),
  )
  expect(totals[0]!.split(/ +/)).toEqual(totals[1]!.split(/ +/))
  const [whole] = (await data("--layers=mobileclip2-s0", "--tower=image", "--depth=0")).towers
  expect(whole.layers).toHaveLength(1)
  expect(whole.layers[0]).toMatchObject({ path: "image", shape: [1, 512], parameters: 11_357_504 })
})

test.each([
  [["mobileclip2-s1"], 'there is no model named "mobileclip2-s1" in the family\n  nearest names: mobileclip-s1,'],
  [["--layers", "clip"], 'there is no model named "clip" in the family\n  nearest names: '],
  [["--columns", "name,imagnet"], 'there is no column "imagnet"\n  nearest: imagenet,'],
  [["--sort", "macs"], 'there is no column "macs"\n  nearest: '],
])("%s is one line and a hint", async (argv, message) => {
  const { code, out, err } = await models(...argv)
  expect({ code, out }).toEqual({ code: 1, out: "" })
  expect(err).toContain(`mobileclip: ${message}`)
})

test("wrong usage", async () => {
  expect(await models("mobileclip2-s0", "--layers", "mobileclip2-s0")).toMatchObject({ code: 2, out: "" })
  expect(await models("--layers", "mobileclip2-s0", "--tower", "left")).toMatchObject({ code: 2, out: "" })
})

test("--help explains every column and has examples", async () => {
  const { code, out } = await models("--help")
  expect(code).toBe(0)
  expect(out).toMatch(/^ {2}image-macs +multiply-adds of the fused image tower, billions$/m)
  expect(out).toContain("Examples:\n  mobileclip models --sort -imagenet")
})
