import { expect, test } from "vitest"
import { PublicNames } from "./public-names.ts"

const names = new PublicNames(["/home/anna/Photos", "/mnt/disk/Photos", "/mnt/disk/a b"])

test.each([
  ["/home/anna/Photos/2023/x.jpg", "Photos/2023/x.jpg"],
  ["/mnt/disk/Photos/y.jpg", "Photos/y.jpg"],
  ["/mnt/disk/a b/c/d.jpg", "a b/c/d.jpg"],
  ["/mnt/disk/Photos2/z.jpg", "z.jpg"],
])("%s is %s", (path, name) => {
  expect(names.nameOf(path)).toBe(name)
})

test.each([
  ["Photos", ["/home/anna/Photos", "/mnt/disk/Photos"]],
  ["Photos/", ["/home/anna/Photos", "/mnt/disk/Photos"]],
  ["Photos/2023/May", ["/home/anna/Photos/2023/May", "/mnt/disk/Photos/2023/May"]],
  ["a b/..x", ["/mnt/disk/a b/..x"]],
])("the folder %s is %j", (name, folders) => {
  expect(names.foldersOf(name, "folders[0]")).toEqual(folders)
})

test.each([
  "",
  "/",
  "/mnt/disk/Photos",
  "Photos/..",
  "Photos/./x",
  "../Photos",
  "Photos//x",
  "Photos/a\0b",
  "photos",
  "disk",
])("%j is not a folder's name, and the refusal says which are", (name) => {
  const asked = () => names.foldersOf(name, "folders[0]")
  expect(asked).toThrow(/^folders\[0\].*"Photos/)
  expect(asked).not.toThrow(/anna|mnt\/disk\/a/)
})

test("below the root of a file system, names have all of the path but its beginning", () => {
  const root = new PublicNames(["/"])
  expect([root.nameOf("/srv/x.jpg"), root.folders, root.foldersOf("srv", "f")]).toEqual(["srv/x.jpg", [], ["/srv"]])
})
