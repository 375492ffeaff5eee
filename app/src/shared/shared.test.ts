import { UserError } from "mobileclip/browser"
import { beforeEach, expect, test } from "vitest"
import { openTab, passedOver, passedOverLine, takeFolder, takePictures } from "./intake.ts"
import { pictureError, told } from "./words.ts"

beforeEach(() => {
  passedOver.value = null
})

const file = (name: string, type = "", content = "x") => new File([content], name, { type })
const names = (received: readonly { path: string }[]) => received.map(({ path }) => path)

test("files that are not pictures are named, in the tab that they were given to; the next pictures take that away", () => {
  openTab.value = "teach"
  const given = [file("a.pdf", "application/pdf"), file("b.jpg"), file("c", "image/png"), file(".hidden.png")]
  expect(names(takePictures(given))).toEqual(["b.jpg", "c"])
  expect(passedOver.value).toEqual({
    tab: "teach",
    text: "a.pdf and .hidden.png are not pictures.",
    isAll: false,
  })
  takePictures([file("b.jpg")])
  expect(passedOver.value).toBeNull()
  expect(takePictures([file("a.pdf")])).toEqual([])
  expect(passedOver.value).toMatchObject({ text: "a.pdf is not a picture.", isAll: true })
  expect(passedOverLine(["a", "b", "c", "d", "e"])).toBe("a, b, c, and 2 more are not pictures.")
})

test("a folder may have other files, and one without a picture is told", () => {
  expect(names(takeFolder([file("a.txt"), file("b.webp")]))).toEqual(["b.webp"])
  expect(passedOver.value).toBeNull()
  takeFolder([file("a.txt")])
  expect(passedOver.value?.text).toBe("There is no picture in that folder.")
})

test.each([
  [
    "IMG_1.HEIC",
    "IMG_1.HEIC is not a picture that this browser decodes",
    /is HEIC, .* does not read it$/,
    /^export it as JPEG$/,
  ],
  [
    "big.png",
    "big.png has 20000 x 20000 pixels, more than the limit of 100,000,000",
    /pixels, more than/,
    /^make it smaller first$/,
  ],
  [
    "cut.jpg",
    "cut.jpg is not a picture",
    /^cut\.jpg is not a picture$/,
    /^export it again as JPEG, or choose another picture$/,
  ],
])("what is wrong with %s has a hint for people, not for programs", (name, message, what, todo) => {
  const said = told(pictureError(new UserError(message, "raise the limit (maxPixels)"), file(name)))
  expect(said.what).toMatch(what)
  expect(said.todo).toMatch(todo)
})

test("an error that is not of the picture stays as it is", () => {
  const error = new UserError('the template "no place" has no {}', "write {}")
  expect(pictureError(error, file("a.heic"))).toBe(error)
})
