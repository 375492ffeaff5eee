import { MobileCLIP } from "mobileclip"
import * as browser from "mobileclip/browser"
import { classify } from "./classify.js"

if (browser.MobileCLIP !== MobileCLIP) throw new Error(`"mobileclip" is not the browser's entry`)
// The test reads it.
window.classified = classify(MobileCLIP)
