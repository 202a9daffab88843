// Every page, in the order of the navigation. `group` is the heading that it stands under.

import { COLLECTIONS } from "./entities.js"
import { page } from "./router.js"

page({ path: "/", title: "Overview", module: "./pages/overview.js", nav: { group: "Gateway", icon: "gauge" } })
page({ path: "/tail", title: "Live tail", module: "./pages/tail.js", nav: { group: "Gateway", icon: "pulse" } })
page({ path: "/explain", title: "Explain", module: "./pages/explain.js", nav: { group: "Gateway", icon: "search" } })

for (const [collection, { title, noun, icon }] of Object.entries(COLLECTIONS)) {
  if (!icon) continue // known by what they belong to alone
  const nav = ["ca_certificates", "snis"].includes(collection) ? null : { group: "Configuration", icon }
  page({ path: `/${collection}`, title, module: "./pages/list.js", nav })
  page({ path: `/${collection}/:id`, title: noun, module: "./pages/detail.js" })
}
page({ path: "/keys", title: "Keys", module: "./pages/keys.js", nav: { group: "Access", icon: "key" } })
page({ path: "/audit", title: "Audit", module: "./pages/audit.js", nav: { group: "Access", icon: "audit" } })
page({ path: "/edit/:collection", title: "Edit", module: "./pages/edit.js" })
