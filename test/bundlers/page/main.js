import { classify } from "./classify.js"

// The test reads it.
window.classified = classify({})
