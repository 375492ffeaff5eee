/** What an application does: it loads a model beside its page, and classifies a picture. */
export async function classify(MobileCLIP, options = {}) {
  const picture = await (await fetch("./teal.png")).blob()
  const clip = await MobileCLIP.load("./models/tiny/", { device: "wasm", ...options })
  const [scores] = await clip.classify([picture], ["a cat", "a dog"])
  const { runtime, device, notes } = clip.info
  await clip.dispose()
  return { scores, runtime, device, notes }
}
