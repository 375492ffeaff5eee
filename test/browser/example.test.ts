import sharp from "sharp"
import { expect, test } from "vitest"
import { exportModel } from "../../src/export/export.ts"
import { temporaryFolder } from "../../src/host/files/temporary.ts"
import { tinyInfo, tinyModel } from "../tiny-model.ts"
import { TestPage } from "./open-page.ts"

test("examples/browser.ts shows the labels' scores, and what is wrong with a file", async () => {
  using models = temporaryFolder("models")
  await exportModel(tinyModel(), tinyInfo, `${models.path}/model`, { dtype: "mixed" })
  const buffer = await sharp({ create: { width: 90, height: 60, channels: 3, background: "teal" } })
    .jpeg()
    .toBuffer()
  await using opened = await TestPage.open({ script: "examples/browser.ts", folders: { models: models.path } })
  const { page } = opened
  await page.getByText("tiny on wasm, weights fp16 and fp32").waitFor()
  await page.getByLabel("Picture").setInputFiles({ name: "teal.jpg", mimeType: "image/jpeg", buffer })
  await page.locator("tr").nth(3).waitFor()
  expect((await page.locator("tr").allInnerTexts()).sort()).toEqual([
    ...["a circle", "a heart", "a square", "a star"].map((label) =>
      expect.stringMatching(`^${label}\\s+\\d+\\.\\d %$`),
    ),
  ])
  await page.getByLabel("Picture").setInputFiles({ name: "no.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no") })
  await page.getByText("no.jpg is not a picture that this browser decodes").waitFor()
})
