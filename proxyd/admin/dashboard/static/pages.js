// Every page, in the order of the navigation. `group` is the heading that it stands under.

import { page } from "./router.js"

page({ path: "/", title: "Overview", module: "./pages/overview.js", nav: { group: "Gateway", icon: "gauge" } })
