// How the gateway is: requests, errors, its own latency, and everything that is not as it should be.

import { pageHeader } from "../ui.js"

export async function mount(root) {
  root.append(pageHeader({ title: "Overview" }))
}
