import { expect, test } from "vitest"
import { openAll } from "./open-all.ts"

test("all are opened in order and closed together; where one fails, those before it are closed and none after it opened", async () => {
  const events: string[] = []
  const open = async (name: string) => {
    if (name === "bad") throw new Error("it cannot be opened")
    events.push(`open ${name}`)
    return { name, [Symbol.asyncDispose]: async () => void events.push(`close ${name}`) }
  }
  {
    await using opened = await openAll(["a", "b"], open)
    expect(opened.all.map(({ name }) => name)).toEqual(["a", "b"])
    expect(events.splice(0)).toEqual(["open a", "open b"])
  }
  expect(events.splice(0)).toEqual(["close a", "close b"])
  await expect(openAll(["a", "bad", "c"], open)).rejects.toThrow("it cannot be opened")
  expect(events).toEqual(["open a", "close a"])
})
