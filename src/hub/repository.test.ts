import { expect, test } from "vitest"
import { companionsOf } from "./repository.ts"

test("companions are the small files beside the weights and at the top", () => {
  const file = (path: string, size = 10) => ({ path, size, etag: "", checksum: "git-sha1" as const })
  const files = ["config.json", "LICENSE", "README.md", "s0/config.json", "s1/config.json", "s0/model.pt"].map((path) =>
    file(path),
  )
  const found = companionsOf([...files, file("open_clip_config.json", 2e6)], "s0/model.pt")
  expect(found.map(({ path }) => path)).toEqual(["config.json", "LICENSE", "s0/config.json"])
})
