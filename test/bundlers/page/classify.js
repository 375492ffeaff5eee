/** What an application does: it loads a model beside its page, and classifies a picture. */
import { MobileCLIP } from "mobileclip"
import * as browser from "mobileclip/browser"

export async function classify(options) {
  if (browser.MobileCLIP !== MobileCLIP) throw new Error(`"mobileclip" is not the browser's entry`)
  const picture = await (await fetch("./teal.png")).blob()
  const clip = await MobileCLIP.load("./models/tiny/", { device: "wasm", ...options })
  const [scores] = await clip.classify([picture], ["a cat", "a dog"])
  const { runtime, device, notes } = clip.info
  await clip.dispose()
  return { scores, runtime, device, notes }
}
