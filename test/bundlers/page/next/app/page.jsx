"use client"
import { MobileCLIP } from "mobileclip/browser"
import { useEffect } from "react"
import { classify } from "../../classify.js"

export default function Page() {
  useEffect(() => {
    window.classified = classify(MobileCLIP)
  }, [])
  return <p>rendered where MobileCLIP.load is a {typeof MobileCLIP.load}</p>
}
